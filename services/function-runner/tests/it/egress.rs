use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestRunner, problem, zip_of};

const HELLO: (&str, &str) = ("main.py", "def handle(request, context):\n    return 'hello'\n");

#[tokio::test]
async fn egress_that_cannot_be_held_here_is_refused_with_the_reason() {
    // Without a name server nobody gets a network; without root, nobody does either.
    let runner = TestRunner::start_with(&[("EGRESS_DNS", "")]).await;
    let ada = runner.person();
    let deployed = runner.deploy("hello", &[HELLO], &ada).await;
    assert_eq!(deployed["function"]["config"]["egress"], false, "{deployed:#}");
    let path = format!("/api/v1/functions/{}", deployed["function"]["id"].as_str().unwrap());

    let change =
        runner.request(Method::PATCH, &path, &ada).json(&json!({"egress": true})).send().await.unwrap();
    assert_eq!(change.status(), 422);
    let body: Value = change.json().await.unwrap();
    assert_eq!(body["errors"][0]["pointer"], "/egress", "{body:#}");
    assert!(body["errors"][0]["detail"].as_str().unwrap().starts_with("cannot be had here: "), "{body:#}");
    assert_eq!(runner.read(&path, &ada).await["config"]["egress"], false);

    let archive = zip_of(&[HELLO, ("slipway.toml", "[config]\negress = true\n")]);
    let (status, code, detail) = problem(runner.try_deploy("hello", archive, &ada).await).await;
    assert_eq!((status, code.as_str()), (422, "build_failed"), "{detail}");
    assert!(detail.contains("egress cannot be had here: "), "{detail}");
    let function = runner.read(&path, &ada).await;
    assert_eq!((&function["active_version"], &function["config"]["egress"]), (&json!(1), &json!(false)));
    assert_eq!(runner.delete(&path, &ada).await.status(), 204);
}
