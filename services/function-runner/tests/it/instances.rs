use std::collections::HashSet;
use std::future::pending;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use slipway_testkit::TestCaller;

use crate::deployed::Deployed;
use crate::harness::{TestRunner, eventually, problem};

/// Answers when it began and when it ended, by the clock that all containers share and that nobody sets.
const TIMES_ITSELF: &str = "
import time

def handle(request, context):
    began = time.monotonic()
    time.sleep(0.02)
    return [began, time.monotonic()]
";

const EXITS_OR_ANSWERS: &str = "
import os

def handle(request, context):
    if request['body'] == 'exit':
        os._exit(1)
    return 'fine'
";

#[tokio::test]
async fn two_hundred_calls_of_a_cold_function_are_served_by_no_more_than_its_instances() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, TIMES_ITSELF).await;
    // The instance that was checked goes with the change, so all of them start for these calls.
    function.configure(json!({ "max_instances": 10, "memory_mb": 64, "timeout_ms": 120_000 })).await;

    let call = json!({});
    let answers = join_all((0..200).map(|_| function.answer(&call))).await;

    let ids: HashSet<&str> = answers.iter().map(|answer| answer["execution_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 200);
    let time = |answer: &Value, which: usize| answer["result"][which].as_f64().unwrap();
    let most = answers.iter().map(|one| {
        let runs = |other: &&Value| time(other, 0) <= time(one, 0) && time(one, 0) < time(other, 1);
        answers.iter().filter(runs).count()
    });
    let most = most.max().unwrap();
    assert!((1..=10).contains(&most), "{most} ran at a time");
}

#[tokio::test]
async fn kept_instances_are_ready_before_a_call_come_back_when_they_die_and_after_a_restart() {
    let runner = TestRunner::start_with(&[("INSTANCE_IDLE_SECONDS", "1")]).await;
    let function = Deployed::new(&runner, EXITS_OR_ANSWERS).await;
    function.configure(json!({ "min_instances": 1, "memory_mb": 64, "timeout_ms": 60_000 })).await;
    let (id, owner) = (function.id.clone(), function.owner.clone());
    eventually("it is kept", async || function.answer(&json!({})).await["cold_start"] == json!(false)).await;

    assert_eq!(function.call(&json!({ "body": "exit" })).await.status(), 502);

    eventually("another took its place", async || {
        function.answer(&json!({})).await["cold_start"] == json!(false)
    })
    .await;
    let surroundings = runner.stop();
    let runner = TestRunner::start_on(surroundings, &[("INSTANCE_IDLE_SECONDS", "1")]).await;
    eventually("it is kept again", async || runner.containers_of(&id).await == 1).await;
    let function = Deployed { runner: &runner, owner, id };
    eventually("it answers", async || function.answer(&json!({})).await["cold_start"] == json!(false)).await;
}

#[tokio::test]
async fn no_more_may_be_kept_than_there_may_be() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, EXITS_OR_ANSWERS).await;
    let change = json!({ "min_instances": 3, "max_instances": 2 });
    let request = runner.request(Method::PATCH, &function.path(""), &function.owner).json(&change);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 422);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        body["errors"],
        json!([{ "pointer": "/min_instances", "detail": "must be no more than max_instances, which is 2" }])
    );
}

#[tokio::test]
async fn an_owner_whose_share_of_the_host_is_full_is_told_so_and_others_go_on() {
    let runner = TestRunner::start_with(&[("OWNER_INSTANCES_MAX", "1")]).await;
    let owner = runner.person();
    let sleeps = "import time\ndef handle(request, context):\n    time.sleep(600)\n";
    let deployed = |owner: &TestCaller, name, source| Deployed::named(&runner, owner.clone(), name, source);
    let second = deployed(&owner, "second", EXITS_OR_ANSWERS).await;
    let first = deployed(&owner, "first", sleeps).await;
    let other = deployed(&runner.person(), "other", EXITS_OR_ANSWERS).await;
    first.configure(json!({ "timeout_ms": 900_000 })).await;
    second.configure(json!({ "timeout_ms": 1_000 })).await;

    let call = json!({});
    let busy = async {
        first.call(&call).await;
        pending::<()>().await;
    };
    let told = async {
        eventually("the first one runs", async || {
            let runs = runner.read(&first.path("/executions"), &first.owner).await;
            runs["items"].as_array().unwrap().iter().any(|run| run["status"] == "running")
        })
        .await;
        let told = problem(second.call(&call).await).await;
        assert_eq!(other.answer(&call).await["result"], "fine");
        told
    };
    let (status, code, detail) = tokio::select! {
        told = told => told,
        () = busy => unreachable!("it never ends"),
    };

    assert_eq!((status, code.as_str()), (504, "function_timed_out"));
    assert_eq!(
        detail,
        "no instance was ready before the deadline: the functions of its owner have the 1 instances that one owner \
         may have"
    );
}
