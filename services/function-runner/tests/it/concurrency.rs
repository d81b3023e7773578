//! Several calls at a time in one instance.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::deployed::Deployed;
use crate::harness::{TestRunner, eventually};

/// Each call waits until three are there, so none ends where they do not overlap; it tells who carried it out.
const MEETS: &str = r#"
import os, threading
barrier = threading.Barrier(3)
instance = os.urandom(8).hex()

def handle(request, context):
    print("begin", request.body)
    barrier.wait(60)
    print("end", request.body)
    return instance
"#;

const SLEEPS: &str = r#"
import asyncio

async def handle(request, context):
    if request.body == "sleep":
        print("sleeps")
        await asyncio.sleep(600)
    return "fine"
"#;

#[tokio::test]
async fn calls_overlap_in_one_instance_and_each_has_its_own_lines() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, MEETS).await;
    function.configure(json!({ "concurrency": 3, "max_instances": 1, "timeout_ms": 120_000 })).await;

    let bodies: Vec<Value> = (0..6).map(|number| json!({ "body": number })).collect();
    let answers = join_all(bodies.iter().map(|body| function.answer(body))).await;

    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer["result"], answers[0]["result"], "there is one instance");
        let printed = function.printed(answer["execution_id"].as_str().unwrap()).await;
        assert_eq!(printed, [format!("begin {number}"), format!("end {number}")]);
    }
    assert_eq!(runner.containers_of(&function.id).await, 1);
}

#[tokio::test]
async fn a_call_that_is_called_off_ends_its_neighbours_which_are_recorded_once_each() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, SLEEPS).await;
    function.configure(json!({ "concurrency": 3, "max_instances": 1, "timeout_ms": 600_000 })).await;
    let executions = async || {
        let runs = runner.read(&function.path("/executions"), &function.owner).await;
        runs["items"].as_array().unwrap().clone()
    };
    let sleep = json!({ "body": "sleep" });
    let calls = join_all((0..3).map(|_| function.call(&sleep)));
    let call_off = async {
        let mut running = Vec::new();
        eventually("all of them run", async || {
            running = executions().await;
            let is_running = |run: &&Value| run["status"] == "running";
            running.iter().filter(is_running).count() == 3
        })
        .await;
        let id = running[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(function.about(&id, "cancel").await.status(), StatusCode::OK);
        id
    };

    let (answers, called_off) = tokio::join!(calls, call_off);

    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [409, 502, 502]);
    let records = executions().await;
    assert_eq!(records.len(), 3);
    for record in &records {
        let expected = if record["id"] == called_off {
            json!(["cancelled", "cancelled"])
        } else {
            json!(["failed", "instance_stopped"])
        };
        assert_eq!(json!([record["status"], record["error"]["type"]]), expected, "{record:#}");
    }
    eventually("the instance is gone", async || runner.containers_of(&function.id).await == 0).await;
    assert_eq!(function.answer(&json!({})).await["result"], "fine");
}

#[tokio::test]
async fn how_many_calls_at_a_time_is_checked() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, SLEEPS).await;
    for concurrency in [0, 101] {
        let request = runner.request(Method::PATCH, &function.path(""), &function.owner);
        let answer = request.json(&json!({ "concurrency": concurrency })).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["errors"][0]["pointer"], "/concurrency");
    }
}
