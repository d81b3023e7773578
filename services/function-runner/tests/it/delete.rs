use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{TestRunner, eventually, form, zip_of};

#[tokio::test]
async fn a_deleted_function_leaves_no_row_no_image_and_no_container() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let source = [("main.py", "def handle(request, context): return 1")];
    let deployed = runner.deploy("hello", &source, &ada).await;
    let twin = runner.deploy("twin", &source, &ada).await;
    let path = |body: &Value| format!("/api/v1/functions/{}", body["function"]["id"].as_str().unwrap());

    assert_eq!(runner.delete(&path(&deployed), &ada).await.status(), 204);

    assert_eq!(runner.get(&path(&deployed), &ada).await.status(), 404);
    let deployment = format!("/api/v1/deployments/{}", deployed["deployment"]["id"].as_str().unwrap());
    assert_eq!(runner.get(&deployment, &ada).await.status(), 404);
    assert_eq!(runner.delete(&path(&deployed), &ada).await.status(), 404);
    // Its twin is made of the same files and goes on with the image that they share.
    assert_eq!(runner.images().await.len(), 1);
    assert_eq!(runner.delete(&path(&twin), &ada).await.status(), 204);
    assert_eq!(runner.images().await, Vec::<String>::new());
    assert_eq!(runner.containers().await, 0);
}

#[tokio::test]
async fn deleting_a_function_stops_its_build() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let endless = zip_of(&[
        (
            "package.json",
            r#"{"scripts": {"preinstall": "echo sleeping; sleep 600"}, "dependencies": {"t": "file:./t"}}"#,
        ),
        ("t/package.json", r#"{"name": "t", "version": "1.0.0"}"#),
        ("index.mjs", "export default () => 1"),
    ]);
    let answer = runner.send_form(form("hello", endless), "", &ada).await;
    let deployed: Value = answer.json().await.unwrap();
    let log = format!("/api/v1/deployments/{}/logs", deployed["deployment"]["id"].as_str().unwrap());
    eventually("the build runs", async || {
        runner.read(&log, &ada).await["log"].as_str().unwrap().contains("npm install")
    })
    .await;

    let begun = Instant::now();
    let path = format!("/api/v1/functions/{}", deployed["function"]["id"].as_str().unwrap());
    assert_eq!(runner.delete(&path, &ada).await.status(), 204);

    assert!(begun.elapsed() < Duration::from_mins(5), "the build was not waited for");
    assert_eq!(runner.state("builds"), Vec::<String>::new());
    assert_eq!(runner.images().await, Vec::<String>::new());
}
