use lambda_http::{Error, Request, Response, run, service_fn};
use serde_json::{Value, json};

/// Greets whoever the request names.
async fn handle(request: Request) -> Result<Response<String>, Error> {
    let input: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let name = input["name"].as_str().unwrap_or("world");
    println!("greeting {name}");
    let answer = json!({ "message": format!("Hello, {name}!") });
    Ok(Response::builder().header("content-type", "application/json").body(answer.to_string())?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}
