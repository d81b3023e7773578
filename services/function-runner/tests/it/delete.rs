use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use reqwest::Method;
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

#[tokio::test]
async fn what_belongs_to_a_deleted_account_goes_at_the_next_start_too_and_also_what_comes_late() {
    let runner = TestRunner::start().await;
    let (ada, eve) = (runner.person(), runner.person());
    let source = [("main.py", "def handle(request, context): return 1")];
    let deployed = runner.deploy("hello", &source, &ada).await;
    let kept = runner.deploy("hello", &source, &eve).await;
    let path = |body: &Value| format!("/api/v1/functions/{}", body["function"]["id"].as_str().unwrap());
    let invoked = runner.request(Method::POST, &format!("{}/invoke", path(&deployed)), &ada).send().await;
    assert_eq!(invoked.unwrap().status(), 200);
    // As auth has said before a crash. It is not there now.
    let surroundings = runner.stop();
    let noted = format!("INSERT INTO deleted_owners VALUES ('{}')", ada.identity.user_id);
    surroundings.database.superuser().batch_execute(&noted).unwrap();

    let runner = TestRunner::start_on(surroundings, &[]).await;
    let is_gone = async |path: &str| runner.get(path, &ada).await.status() == 404;
    eventually("the function is gone", async || is_gone(&path(&deployed)).await).await;
    // As by a request that was let in before the account was deleted.
    let late = runner.send_form(form("late", zip_of(&source)), "", &ada).await;
    assert_eq!(late.status(), 202);
    let late: Value = late.json().await.unwrap();
    eventually("what came late is gone", async || is_gone(&path(&late)).await).await;

    assert_eq!(runner.get(&path(&kept), &eve).await.status(), 200);
    let images = async || runner.images().await.len();
    eventually("the image of the one that is kept is left alone", async || images().await == 1).await;
    assert_eq!(runner.containers_of(deployed["function"]["id"].as_str().unwrap()).await, 0);
}
