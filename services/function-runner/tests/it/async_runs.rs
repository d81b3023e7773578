//! Calls that nobody waits for.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::deployed::Deployed;
use crate::faults::RunnerProcess;
use crate::harness::{Surroundings, TestRunner, eventually, problem};

const AT_ONCE: [(&str, &str); 2] = [("ASYNC_BACKOFF_MS", "1"), ("ASYNC_BACKOFF_MAX_MS", "1")];

/// Fails until it was called as often as the body says, and prints each time.
const FLAKY: &str = "calls = 0\ndef handle(request, context):\n  global calls\n  calls += 1\n  print('call', calls)\n  \
                     if calls < request['body']: raise ValueError('not yet')\n  return calls\n";
const SLEEPER: &str = "import time\ndef handle(request, context):\n  print('begun', flush=True)\n  \
                       time.sleep(request['body'] or 0)\n  return 'slept'\n";
const FINE: &str = "def handle(request, context):\n  print('again')\n  return ['fine', request['body']]\n";

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_on_record_and_carried_out() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, FINE).await;

    let id = function.send(&json!({ "body": { "n": [1, "\u{0}"] } })).await;

    assert_eq!(function.execution(&id).await["trigger"], "async");
    let run = function.becomes(&id, "succeeded").await;
    assert_eq!((&run["attempt"], &run["dead_letter"]), (&json!(1), &json!(false)));
    assert_eq!(run["result"], json!(["fine", { "n": [1, "\u{0}"] }]));
    assert!(run["duration_ms"].as_f64().unwrap() > 0.0, "{run:#}");
    assert_eq!(function.printed(&id).await, ["again"]);
}

#[tokio::test]
async fn a_run_that_fails_is_tried_again_until_it_succeeds() {
    let runner = TestRunner::start_with(&AT_ONCE).await;
    let function = Deployed::new(&runner, FLAKY).await;

    let id = function.send(&json!({ "body": 3 })).await;

    let run = function.becomes(&id, "succeeded").await;
    assert_eq!((&run["attempt"], &run["result"], &run["error"]), (&json!(3), &json!(3), &Value::Null));
    let printed = function.printed(&id).await;
    assert_eq!((&*printed[0], &*printed[2], &*printed[4]), ("call 1", "call 2", "call 3"));
    assert!(
        printed[1].starts_with("attempt 1 of 3 failed: ValueError: not yet; the next begins"),
        "{printed:?}"
    );
    assert_eq!(runner.read(&function.path("/executions"), &function.owner).await["items"], json!([run]));
}

#[tokio::test]
async fn a_run_that_never_succeeds_is_a_dead_letter_which_can_be_replayed() {
    let runner = TestRunner::start_with(&AT_ONCE).await;
    let function = Deployed::new(&runner, FLAKY).await;
    let good = function.send(&json!({ "body": 1 })).await;
    function.becomes(&good, "succeeded").await;

    let dead = function.send(&json!({ "body": 1000 })).await;

    let run = function.becomes(&dead, "failed").await;
    assert_eq!((&run["attempt"], &run["dead_letter"]), (&json!(3), &json!(true)));
    assert_eq!((&run["error"]["type"], &run["error"]["message"]), (&json!("ValueError"), &json!("not yet")));
    let ids = async |query: &str| {
        let runs = runner.read(&function.path(&format!("/executions?{query}")), &function.owner).await;
        let runs = runs["items"].as_array().unwrap().clone();
        runs.iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids("dead_letter=true").await, [&*dead]);
    assert_eq!(ids("dead_letter=false&trigger=async").await, [&*good]);
    assert_eq!(ids("status=failed").await, [&*dead]);
    assert_eq!(ids("trigger=invoke").await, Vec::<String>::new());
    let stats = runner.read(&function.path("/stats?period=1h"), &function.owner).await;
    assert_eq!((&stats["totals"]["calls"], &stats["totals"]["errors"]), (&json!(2), &json!(1)), "{stats:#}");
    assert_eq!(runner.get(&function.path("/executions?status=no"), &function.owner).await.status(), 400);

    runner.deploy("hello", &[("main.py", FINE)], &function.owner).await;
    let answer = function.about(&dead, "replay").await;
    assert_eq!(answer.status(), 202);
    let replay = answer.json::<Value>().await.unwrap()["execution_id"].as_str().unwrap().to_owned();
    let run = function.becomes(&replay, "succeeded").await;
    assert_eq!((&run["trigger"], &run["replayed_from"]), (&json!("replay"), &json!(dead)));
    assert_eq!((&run["result"], &run["version"]), (&json!(["fine", 1000]), &json!(2)));
    assert_eq!(function.execution(&dead).await["dead_letter"], true, "what happened stays on record");
    let again = function.about(&replay, "replay").await.json::<Value>().await.unwrap();
    let again = function.becomes(again["execution_id"].as_str().unwrap(), "succeeded").await;
    assert_eq!(again["result"], json!(["fine", 1000]));
}

#[tokio::test]
async fn a_run_past_its_deadline_is_tried_again() {
    let runner = TestRunner::start_with(&[AT_ONCE[0], AT_ONCE[1], ("ASYNC_ATTEMPTS", "2")]).await;
    let function = Deployed::new(&runner, SLEEPER).await;
    function.configure(json!({ "timeout_ms": 1000 })).await;

    let id = function.send(&json!({ "body": 600 })).await;

    let run = function.becomes(&id, "timed_out").await;
    assert_eq!((&run["attempt"], &run["dead_letter"]), (&json!(2), &json!(true)));
    let printed = function.printed(&id).await;
    assert_eq!(printed.iter().filter(|text| *text == "begun").count(), 2, "{printed:?}");
    assert!(printed[3].ends_with("it is not tried again"), "{printed:?}");
}

#[tokio::test]
async fn what_cannot_be_kept_or_replayed_is_refused_and_leaves_no_run() {
    let runner = TestRunner::start_with(&[("ASYNC_INPUT_KB", "1")]).await;
    let function = Deployed::new(&runner, FINE).await;

    let large = function.try_send(&json!({ "body": "x".repeat(2048) })).await;
    assert_eq!(problem(large).await.0, 413);
    let faulty = function.try_send(&json!({ "path": "relative" })).await;
    assert_eq!(problem(faulty).await.0, 422);
    let path = function.path("/invoke?mode=later");
    let unknown = runner.request(Method::POST, &path, &function.owner).json(&json!({})).send().await.unwrap();
    assert_eq!(problem(unknown).await.0, 400);
    assert_eq!(runner.read(&function.path("/executions"), &function.owner).await["items"], json!([]));

    let answer = function.answer(&json!({})).await;
    let id = answer["execution_id"].as_str().unwrap();
    let (status, code, _) = problem(function.about(id, "replay").await).await;
    assert_eq!((status, code.as_str()), (409, "input_not_kept"));
}

#[tokio::test]
async fn the_same_idempotency_key_is_queued_once() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, FINE).await;
    let path = function.path("/invoke?mode=async");
    let send = || {
        let request = runner.request(Method::POST, &path, &function.owner);
        request.header("idempotency-key", "key-1").json(&json!({ "body": 1 })).send()
    };

    let first: Value = send().await.unwrap().json().await.unwrap();
    let again = send().await.unwrap();

    assert_eq!(
        (again.status(), &again.headers()["idempotency-replayed"]),
        (StatusCode::ACCEPTED, &"true".parse().unwrap())
    );
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    function.becomes(first["execution_id"].as_str().unwrap(), "succeeded").await;
    let runs = runner.read(&function.path("/executions"), &function.owner).await;
    assert_eq!(runs["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn past_an_owners_backlog_calls_are_refused_and_another_owners_are_not() {
    let runner = TestRunner::start_with(&[("ASYNC_BACKLOG", "2"), ("ASYNC_AT_A_TIME", "1")]).await;
    let function = Deployed::new(&runner, SLEEPER).await;
    function.configure(json!({ "timeout_ms": 600_000 })).await;
    let other = Deployed::new(&runner, FINE).await;
    let first = function.send(&json!({ "body": 600 })).await;
    let second = function.send(&json!({ "body": 600 })).await;

    let refused = function.try_send(&json!({})).await;

    assert!(refused.headers().contains_key("retry-after"));
    let (status, code, _) = problem(refused).await;
    assert_eq!((status, code.as_str()), (429, "backlog_full"));
    let accepted = other.send(&json!({})).await;
    function.becomes(&first, "running").await;
    for id in [first, second] {
        assert_eq!(function.about(&id, "cancel").await.status(), 200);
    }
    other.becomes(&accepted, "succeeded").await;
    let accepted = function.send(&json!({})).await;
    function.becomes(&accepted, "succeeded").await;
}

#[tokio::test]
async fn an_owner_with_a_long_queue_makes_another_wait_for_one_run_only() {
    const FLOOD: usize = 20;
    let runner = TestRunner::start_with(&[("ASYNC_AT_A_TIME", "1")]).await;
    let flood = Deployed::new(&runner, SLEEPER).await;
    let ada = Deployed::new(&runner, FINE).await;
    let mut flooding = Vec::new();
    for _ in 0..FLOOD {
        flooding.push(flood.send(&json!({ "body": 0.3 })).await);
    }

    let run = ada.send(&json!({})).await;

    let run = ada.becomes(&run, "succeeded").await;
    let mut between = 0;
    for id in &flooding {
        let other = flood.execution(id).await;
        let (begun, queued) = (other["started_at"].as_str(), run["queued_at"].as_str());
        between += usize::from(begun.is_some() && begun > queued && begun < run["started_at"].as_str());
    }
    assert!(between <= 2, "{between} runs of the other owner began while this waited");
    runner.delete(&flood.path(""), &flood.owner).await;
}

#[tokio::test]
async fn a_run_that_finds_no_instance_waits_and_has_not_failed() {
    let settings = [("INSTANCE_QUEUE", "1"), ("ASYNC_ATTEMPTS", "1")];
    let runner = TestRunner::start_with(&settings).await;
    let function = Deployed::new(&runner, SLEEPER).await;
    function.configure(json!({ "max_instances": 1, "timeout_ms": 60_000 })).await;
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(function.send(&json!({ "body": 0.2 })).await);
    }
    for run in runs {
        assert_eq!(function.becomes(&run, "succeeded").await["attempt"], 1);
    }
}

#[tokio::test]
async fn a_deleted_function_takes_its_queue_along() {
    let runner = TestRunner::start_with(&[("ASYNC_AT_A_TIME", "1")]).await;
    let function = Deployed::new(&runner, SLEEPER).await;
    function.configure(json!({ "timeout_ms": 600_000 })).await;
    let other = Deployed::new(&runner, FINE).await;
    let running = function.send(&json!({ "body": 600 })).await;
    let queued = function.send(&json!({ "body": 600 })).await;
    function.becomes(&running, "running").await;

    assert_eq!(runner.delete(&function.path(""), &function.owner).await.status(), 204);

    for id in [running, queued] {
        let path = format!("/api/v1/executions/{id}");
        assert_eq!(runner.get(&path, &function.owner).await.status(), 404);
    }
    let accepted = other.send(&json!({})).await;
    other.becomes(&accepted, "succeeded").await;
}

#[tokio::test]
async fn a_stop_in_the_middle_of_an_attempt_puts_it_back_and_does_not_count_it() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, SLEEPER).await;
    function.configure(json!({ "timeout_ms": 600_000 })).await;
    let id = function.send(&json!({ "body": 600 })).await;
    function.becomes(&id, "running").await;
    // The attempt in hand goes on with what it began on; the next is of this version.
    runner.deploy("hello", &[("main.py", FINE)], &function.owner).await;
    let Deployed { owner, id: of, .. } = function;

    let runner = TestRunner::start_on(runner.stop(), &[("ASYNC_ATTEMPTS", "1")]).await;

    let function = Deployed { runner: &runner, owner, id: of };
    let run = function.becomes(&id, "succeeded").await;
    assert_eq!((&run["attempt"], &run["version"]), (&json!(1), &json!(2)));
    assert!(function.printed(&id).await.contains(&"again".to_owned()));
}

/// Kills the runner in the middle of an attempt; returns what is left, with the function and the run.
async fn killed() -> (Surroundings, slipway_testkit::TestCaller, String, String) {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, SLEEPER).await;
    function.configure(json!({ "timeout_ms": 600_000 })).await;
    let Deployed { owner, id: of, .. } = function;
    let surroundings = runner.stop();
    let process = RunnerProcess::start(&surroundings, &[]);
    let client = reqwest::Client::builder().build().unwrap();
    let request = |method, path: &str| {
        let request = client.request(method, format!("{}/api/v1{path}", process.base));
        request.header("authorization", &owner.authorization)
    };
    let send = request(Method::POST, &format!("/functions/{of}/invoke?mode=async"));
    let accepted: Value = send.json(&json!({ "body": 600 })).send().await.unwrap().json().await.unwrap();
    let id = accepted["execution_id"].as_str().unwrap().to_owned();
    eventually("what the run prints is read", async || {
        let logs = request(Method::GET, &format!("/functions/{of}/logs?execution_id={id}"));
        let logs: Value = logs.send().await.unwrap().json().await.unwrap();
        logs["items"].as_array().is_some_and(|lines| lines.len() == 1)
    })
    .await;
    let form = crate::harness::form("hello", crate::harness::zip_of(&[("main.py", FINE)]));
    let deploy = request(Method::POST, "/functions/deploy?wait=true").multipart(form).send().await.unwrap();
    assert_eq!(deploy.status(), 201);
    process.kill();
    (surroundings, owner, of, id)
}

#[tokio::test]
async fn a_killed_runners_attempt_counts_and_the_next_one_tries_again() {
    let (surroundings, owner, of, id) = killed().await;

    let runner = TestRunner::start_on(surroundings, &AT_ONCE).await;

    let function = Deployed { runner: &runner, owner, id: of };
    let run = function.becomes(&id, "succeeded").await;
    assert_eq!((&run["attempt"], &run["version"], &run["error"]), (&json!(2), &json!(2), &Value::Null));
    let printed = function.printed(&id).await;
    assert_eq!((&*printed[0], &*printed[2], printed.len()), ("begun", "again", 3));
    assert!(printed[1].starts_with("attempt 1 of 3 failed: runner_restarted: "), "{printed:?}");
    let runs = runner.read(&function.path("/executions"), &function.owner).await;
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "one record of it all");
}

#[tokio::test]
async fn a_run_whose_last_attempt_brought_the_runner_down_is_a_dead_letter() {
    let (surroundings, owner, of, id) = killed().await;

    let runner = TestRunner::start_on(surroundings, &[("ASYNC_ATTEMPTS", "1")]).await;

    let function = Deployed { runner: &runner, owner, id: of };
    let run = function.becomes(&id, "failed").await;
    assert_eq!((&run["attempt"], &run["dead_letter"]), (&json!(1), &json!(true)));
    assert_eq!(run["error"]["type"], "runner_restarted");
    assert_eq!(function.printed(&id).await[0], "begun");
}

#[tokio::test]
async fn a_run_that_is_not_done_in_time_is_given_up() {
    let runner = TestRunner::start_with(&[("ASYNC_AT_A_TIME", "1"), ("ASYNC_MAX_AGE_SECONDS", "1")]).await;
    let function = Deployed::new(&runner, SLEEPER).await;
    function.configure(json!({ "timeout_ms": 600_000 })).await;
    let first = function.send(&json!({ "body": 600 })).await;
    function.becomes(&first, "running").await;
    let late = function.send(&json!({})).await;
    let sent = Instant::now();
    while sent.elapsed() < Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    assert_eq!(function.about(&first, "cancel").await.status(), 200);

    let run = function.becomes(&late, "failed").await;
    assert_eq!((&run["error"]["type"], &run["dead_letter"]), (&json!("expired"), &json!(true)));
    assert_eq!((&run["attempt"], &run["started_at"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn a_database_that_goes_away_in_the_middle_of_an_attempt_is_waited_for() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, SLEEPER).await;
    function.configure(json!({ "timeout_ms": 120_000 })).await;
    let id = function.send(&json!({ "body": 2 })).await;
    function.becomes(&id, "running").await;

    runner.surroundings().database.stop();
    let refused = function.try_send(&json!({})).await;
    assert_eq!(problem(refused).await.0, 503, "what cannot be kept is not accepted");
    runner.surroundings().database.start();

    let path = format!("/api/v1/executions/{id}");
    eventually("the run has ended and is on record", async || {
        let answer = runner.get(&path, &function.owner).await;
        let run: Value = answer.json().await.unwrap();
        run["status"] == "succeeded" && run["attempt"] == 1
    })
    .await;
}
