use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use slipway_end_to_end::{Mode, Platform, Project, pack};

use crate::support::{client_of, delete, deploy, token_of};

const ECHO: &str = "def handle(request, context):\n    return request\n";

async fn problem(request: RequestBuilder) -> (u16, String, String) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json", "{status}");
    let body: Value = answer.json().await.unwrap();
    (status, body["code"].as_str().unwrap().to_owned(), body.to_string())
}

#[tokio::test]
async fn every_kind_of_bad_request_is_a_problem_that_names_the_fault() {
    let platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "ada").await;
    let ada = client_of(&platform, &token);
    let id = deploy(&platform, &token, "echo", ECHO).await;
    let client = reqwest::Client::builder().build().unwrap();
    let to = |method: Method, path: &str| {
        client.request(method, format!("{}{path}", platform.gateway())).bearer_auth(&token)
    };
    let invoke = format!("/api/v1/functions/{id}/invoke");
    let json =
        |body: &'static str| to(Method::POST, &invoke).header("content-type", "application/json").body(body);
    let archive = || Part::bytes(pack(Project::python(ECHO).path())).file_name("f.tar.gz");
    let deploy = |form: Form| to(Method::POST, "/api/v1/functions/deploy").multipart(form);

    for (request, status, names) in [
        (json("{"), 400, "not JSON"),
        (json(r#"{"body":1,"colour":"red"}"#), 422, "/colour"),
        (json(r#"{"method":7}"#), 422, "/method"),
        (to(Method::POST, &invoke).body("x"), 415, "application/json"),
        (to(Method::GET, "/api/v1/functions/not-an-id"), 400, "function id"),
        (to(Method::GET, "/api/v1/functions?limit=0"), 400, "limit"),
        (to(Method::GET, "/api/v1/functions?cursor=x"), 400, "cursor"),
        (to(Method::GET, "/api/v1/nowhere"), 404, ""),
        (to(Method::PUT, "/api/v1/functions"), 405, ""),
        (to(Method::POST, "/api/v1/functions/deploy").body("x"), 415, "multipart"),
        (deploy(Form::new().text("name", "fine")), 422, "archive"),
        (deploy(Form::new().part("archive", archive())), 422, "name"),
        (deploy(Form::new().text("name", "Not A Name").part("archive", archive())), 422, "name"),
        (
            deploy(Form::new().text("name", "fine").text("colour", "red").part("archive", archive())),
            422,
            "colour",
        ),
        (
            deploy(
                Form::new()
                    .text("name", "fine")
                    .text("config", r#"{"memory_mb":1}"#)
                    .part("archive", archive()),
            ),
            422,
            "memory_mb",
        ),
        (
            deploy(
                Form::new().text("name", "fine").text("config", r#"{"gpu":1}"#).part("archive", archive()),
            ),
            422,
            "gpu",
        ),
    ] {
        let shown = format!("{request:?}");
        let (found, _, body) = problem(request).await;
        assert_eq!(found, status, "{shown}: {body}");
        assert!(body.contains(names), "{shown}: {body} names {names}");
    }
    let oversized =
        to(Method::POST, &invoke).header("content-type", "application/json").body(vec![b' '; 64 << 20]);
    assert_eq!(problem(oversized).await.1, "body_too_large");
    delete(&ada, &[id]).await;
}

#[tokio::test]
async fn tokens_that_are_not_ours_are_refused() {
    let platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "ada").await;
    let parts: Vec<&str> = token.split('.').collect();
    let client = reqwest::Client::builder().build().unwrap();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    for forged in [
        String::new(),
        "x".to_owned(),
        format!("{none}.{}.", parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(parts[2].len())),
        format!("{}.{}A.{}", parts[0], parts[1], parts[2]),
        format!("{token}x"),
        "A".repeat(100_000),
    ] {
        let request = client.get(format!("{}/api/v1/users/me", platform.gateway()));
        let answer = request.header("authorization", format!("Bearer {forged}")).send().await.unwrap();
        assert!(matches!(answer.status().as_u16(), 401 | 431), "{forged:.40}: {}", answer.status());
    }
    let request = client.get(format!("{}/api/v1/users/me", platform.gateway()));
    let (status, code, _) = problem(request).await;
    assert_eq!((status, code.as_str()), (401, "unauthenticated"));
}

#[tokio::test]
async fn the_handler_sees_no_credential_and_no_identity() {
    let platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "ada").await;
    let ada = client_of(&platform, &token);
    let id = deploy(
        &platform,
        &token,
        "echo",
        ECHO.replace("return request", "request.pop('raw'); return request").as_str(),
    )
    .await;
    let call = slipway_models::functions::InvokeRequest {
        headers: [
            ("Authorization", "secret-1"),
            ("cookie", "secret-2"),
            ("X-User-Id", "secret-3"),
            ("x-mine", "kept"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        ..Default::default()
    };
    let seen = ada.invoke(id, &call).await.unwrap().result;
    assert_eq!(seen["headers"]["x-mine"], "kept", "{seen:#}");
    assert!(!seen.to_string().contains("secret-"), "{seen:#}");
    delete(&ada, &[id]).await;
}
