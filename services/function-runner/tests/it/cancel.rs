use reqwest::Method;
use serde_json::json;

use crate::deployed::Deployed;
use crate::harness::{TestRunner, eventually, problem};

const SLEEPER: &str = "import time\ndef handle(request, context):\n  print('begun', flush=True)\n  \
                       time.sleep(request['body'] or 0)\n  return 'slept'\n";

async fn sleeper(runner: &TestRunner) -> Deployed<'_> {
    let function = Deployed::new(runner, SLEEPER).await;
    function.configure(json!({ "timeout_ms": 600_000 })).await;
    function
}

#[tokio::test]
async fn a_queued_run_that_is_cancelled_never_begins() {
    let runner = TestRunner::start_with(&[("ASYNC_AT_A_TIME", "1")]).await;
    let function = sleeper(&runner).await;
    let running = function.send(&json!({ "body": 600 })).await;
    function.becomes(&running, "running").await;
    let queued = function.send(&json!({ "body": 0 })).await;

    for _ in 0..2 {
        let answer = function.about(&queued, "cancel").await;
        assert_eq!(answer.status(), 200, "twice is as good as once");
        let run: serde_json::Value = answer.json().await.unwrap();
        assert_eq!((&run["status"], &run["error"]["type"]), (&json!("cancelled"), &json!("cancelled")));
    }

    assert_eq!(function.about(&running, "cancel").await.status(), 200);
    let after = function.send(&json!({ "body": 0 })).await;
    function.becomes(&after, "succeeded").await;
    let run = function.execution(&queued).await;
    assert_eq!(
        (&run["status"], &run["started_at"], &run["attempt"]),
        (&json!("cancelled"), &json!(null), &json!(0))
    );
}

#[tokio::test]
async fn a_run_that_is_cancelled_in_the_middle_ends_with_its_instance_and_keeps_its_lines() {
    let runner = TestRunner::start().await;
    let function = sleeper(&runner).await;
    let id = function.send(&json!({ "body": 600 })).await;
    eventually("what it prints is read", async || function.printed(&id).await == ["begun"]).await;

    let answer = function.about(&id, "cancel").await;

    assert_eq!(answer.status(), 200);
    let run: serde_json::Value = answer.json().await.unwrap();
    assert_eq!((&run["status"], &run["dead_letter"]), (&json!("cancelled"), &json!(false)));
    assert_eq!(function.printed(&id).await, ["begun"]);
    eventually("the container is gone", || async { runner.containers().await == 0 }).await;
    assert_eq!(function.execution(&id).await, run, "it is not tried again");
}

#[tokio::test]
async fn a_call_that_is_cancelled_tells_the_one_who_waits() {
    let runner = TestRunner::start().await;
    let function = sleeper(&runner).await;
    let body = json!({ "body": 600 });
    let call = function.call(&body);
    let cancel = async {
        let mut id = String::new();
        eventually("the call runs", async || {
            let runs = runner.read(&function.path("/executions?status=running"), &function.owner).await;
            id = runs["items"][0]["id"].as_str().unwrap_or_default().to_owned();
            !id.is_empty()
        })
        .await;
        assert_eq!(function.about(&id, "cancel").await.status(), 200);
        id
    };

    let (called, id) = tokio::join!(call, cancel);

    let (status, code, _) = problem(called).await;
    assert_eq!((status, code.as_str()), (409, "execution_cancelled"));
    assert_eq!(function.execution(&id).await["status"], "cancelled");
    eventually("the container is gone", || async { runner.containers().await == 0 }).await;
}

#[tokio::test]
async fn a_run_that_waits_for_its_next_attempt_can_be_cancelled() {
    let runner =
        TestRunner::start_with(&[("ASYNC_BACKOFF_MS", "86400000"), ("ASYNC_BACKOFF_MAX_MS", "86400000")])
            .await;
    let function = Deployed::new(&runner, "def handle(request, context): raise ValueError('no')\n").await;
    let id = function.send(&json!({})).await;
    eventually("the first attempt is over", async || {
        let run = function.execution(&id).await;
        run["status"] == "queued" && run["attempt"] == 1
    })
    .await;
    let run = function.execution(&id).await;
    assert_eq!((&run["error"]["type"], &run["started_at"]), (&json!("ValueError"), &json!(null)));

    assert_eq!(function.about(&id, "cancel").await.status(), 200);

    assert_eq!(function.execution(&id).await["status"], "cancelled");
}

#[tokio::test]
async fn a_run_that_has_ended_or_is_anothers_cannot_be_cancelled_or_replayed() {
    let runner = TestRunner::start().await;
    let function = sleeper(&runner).await;
    let ended = function.answer(&json!({})).await["execution_id"].as_str().unwrap().to_owned();
    let (status, code, _) = problem(function.about(&ended, "cancel").await).await;
    assert_eq!((status, code.as_str()), (409, "execution_finished"));
    let running = function.send(&json!({ "body": 600 })).await;
    function.becomes(&running, "running").await;
    let (status, code, _) = problem(function.about(&running, "replay").await).await;
    assert_eq!((status, code.as_str()), (409, "execution_not_finished"));

    let eve = runner.person();
    for what in ["cancel", "replay"] {
        for id in [&ended, &running] {
            let path = format!("/api/v1/executions/{id}/{what}");
            let answer = runner.request(Method::POST, &path, &eve).send().await.unwrap();
            assert_eq!(problem(answer).await.0, 404, "{what}");
        }
        let path = format!("/api/v1/executions/{}/{what}", slipway_kernel::ExecutionId::generate());
        let answer = runner.request(Method::POST, &path, &function.owner).send().await.unwrap();
        assert_eq!(problem(answer).await.0, 404, "{what}");
    }
    assert_eq!(function.execution(&running).await["status"], "running");
    assert_eq!(function.about(&running, "cancel").await.status(), 200);
}
