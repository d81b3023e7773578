use serde_json::{Value, json};

use crate::harness::{TestRunner, eventually, form, zip_of};

/// Deploys and stops the runner before the build is over: the build waits for a file that is never there.
async fn interrupted() -> (crate::harness::Surroundings, slipway_testkit::TestCaller, Value) {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let archive = zip_of(&[("main.py", "def handle(request, context): return 1")]);
    let answer = runner.send_form(form("hello", archive), "", &ada).await;
    let deployed: Value = answer.json().await.unwrap();
    (runner.stop(), ada, deployed)
}

#[tokio::test]
async fn a_deployment_that_a_restart_interrupts_is_taken_up_again() {
    let (surroundings, ada, deployed) = interrupted().await;
    let runner = TestRunner::start_on(surroundings, &[]).await;
    let outcome = runner.outcome(deployed["deployment"]["id"].as_str().unwrap(), &ada).await;
    assert_eq!((&outcome["status"], &outcome["error"]), (&json!("active"), &Value::Null));
    eventually("the files of the build are gone", async || runner.state("builds").is_empty()).await;
}

#[tokio::test]
async fn a_deployment_whose_files_are_gone_fails_and_says_so() {
    let (surroundings, ada, deployed) = interrupted().await;
    let builds = surroundings.state.path().join("builds");
    let id = deployed["deployment"]["id"].as_str().unwrap();
    let main = builds.join(id).join("source/main.py");
    assert!(main.exists(), "a stop keeps the files of what is on its way");
    // As after a power cut: the file is there, its content is not.
    std::fs::write(main, "").unwrap();
    std::fs::create_dir(builds.join("nobody-knows-this")).unwrap();

    let runner = TestRunner::start_on(surroundings, &[]).await;

    let outcome = runner.outcome(id, &ada).await;
    assert_eq!(outcome["status"], "failed");
    assert!(outcome["error"].as_str().unwrap().starts_with("runner_restarted: "), "{outcome}");
    let function = format!("/api/v1/functions/{}", deployed["function"]["id"].as_str().unwrap());
    assert_eq!(runner.read(&function, &ada).await["status"], "failed");
    eventually("the files of the build are gone", async || runner.state("builds").is_empty()).await;
}
