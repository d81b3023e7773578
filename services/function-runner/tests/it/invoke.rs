use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::deployed::Deployed;
use crate::harness::{TestRunner, eventually, problem};

const ECHO: &str = r#"
import os
print("loaded")
count = 0

def handle(request, context):
    global count
    count += 1
    print("call", count)
    return {
        "status_code": 201,
        "headers": {"x-mine": "yes"},
        "body": {
            "count": count,
            "method": request["method"],
            "path": request["path"],
            "query": request["query"],
            "headers": request["headers"],
            "body": request["body"],
            "greeting": context.env.get("GREETING"),
            "version": context.function_version,
            "name": context.function_name,
            "pid": os.getpid(),
        },
    }
"#;

/// Reads a problem that names an execution: its status, its code, its detail and the execution.
async fn run_problem(answer: Response) -> (u16, String, String, String) {
    let outcome =
        answer.headers().get("x-slipway-function-outcome").map(|value| value.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    let expected = match status {
        502 => Some("failed"),
        504 => Some("timed_out"),
        _ => None,
    };
    assert_eq!(outcome.as_deref(), expected, "{body:#}");
    (status, text("code"), text("detail"), text("execution_id"))
}

#[tokio::test]
async fn a_call_reaches_the_handler_and_its_answer_comes_back() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, ECHO).await;
    function.configure(json!({ "env": { "GREETING": "hi" } })).await;

    let answer = function
        .answer(&json!({
            "method": "PUT",
            "path": "/a b",
            "query": { "q": "1" },
            "headers": { "X-Mine": "kept", "Authorization": "no", "cookie": "no", "x-user-id": "no" },
            "body": { "list": [1, "two", null] },
        }))
        .await;

    assert_eq!((&answer["success"], &answer["status_code"]), (&json!(true), &json!(201)));
    assert_eq!(answer["headers"]["x-mine"], "yes");
    let result = &answer["result"];
    assert_eq!(result["method"], "PUT");
    assert_eq!(result["path"], "/a b");
    assert_eq!(result["query"], json!({ "q": "1" }));
    assert_eq!(result["headers"], json!({ "x-mine": "kept", "content-type": "application/json" }));
    assert_eq!(result["body"], json!({ "list": [1, "two", null] }));
    assert_eq!(
        (&result["greeting"], &result["version"], &result["name"]),
        (&json!("hi"), &json!(1), &json!("hello"))
    );
}

#[tokio::test]
async fn a_warm_instance_serves_the_next_call_and_every_run_is_recorded() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, ECHO).await;

    let first = function.answer(&json!({})).await;
    let second = function.answer(&json!({})).await;

    assert_eq!((&first["result"]["count"], &second["result"]["count"]), (&json!(1), &json!(2)));
    assert_eq!(
        (&first["cold_start"], &second["cold_start"]),
        (&json!(false), &json!(false)),
        "the check left a spare"
    );
    let (first, second) = (first["execution_id"].as_str().unwrap(), second["execution_id"].as_str().unwrap());
    let run = function.execution(second).await;
    assert_eq!(
        (&run["status"], &run["trigger"], &run["version"]),
        (&json!("succeeded"), &json!("invoke"), &json!(1))
    );
    assert_eq!((&run["status_code"], &run["result"]["count"]), (&json!(201), &json!(2)));
    assert!(
        run["duration_ms"].as_f64().unwrap() > 0.0 && run["peak_memory_bytes"].as_i64().unwrap() > 0,
        "{run:#}"
    );
    assert!(run["cpu_ms"].as_f64().unwrap() > 0.0, "{run:#}");
    assert_eq!(function.printed(first).await, ["loaded", "call 1"]);
    assert_eq!(function.printed(second).await, ["call 2"]);
    let runs = runner.read(&function.path("/executions"), &function.owner).await;
    let ids: Vec<&str> =
        runs["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [second, first]);
    assert_eq!(runner.containers().await, 1);
}

#[tokio::test]
async fn a_node_function_answers() {
    let runner = TestRunner::start().await;
    let owner = runner.person();
    let source = "export default async (request, context) => { console.log('at', request.path); return [1, context.execution_id]; }";
    let answer = runner.deploy("hello", &[("index.mjs", source)], &owner).await;
    let function =
        Deployed { runner: &runner, owner, id: answer["function"]["id"].as_str().unwrap().to_owned() };

    let answer = function.answer(&json!({ "path": "/x" })).await;

    assert_eq!(answer["result"], json!([1, answer["execution_id"]]));
    assert_eq!(function.printed(answer["execution_id"].as_str().unwrap()).await, ["at /x"]);
}

#[tokio::test]
async fn a_handler_that_throws_has_failed_and_its_instance_goes_on() {
    let runner = TestRunner::start().await;
    let source = "def handle(request, context):\n  print('about to')\n  raise ValueError('no such thing')\n";
    let function = Deployed::new(&runner, source).await;

    let (status, code, detail, id) = run_problem(function.call(&json!({})).await).await;

    assert_eq!((status, code.as_str(), detail.as_str()), (502, "function_failed", "no such thing"));
    let run = function.execution(&id).await;
    assert_eq!((&run["status"], &run["error"]["type"]), (&json!("failed"), &json!("ValueError")));
    assert!(run["error"]["trace"].as_str().unwrap().contains("main.py"), "{run:#}");
    assert_eq!(function.printed(&id).await, ["about to"]);
    assert_eq!(runner.containers().await, 1);
}

#[tokio::test]
async fn a_handler_that_never_answers_is_killed_at_the_deadline() {
    let runner = TestRunner::start().await;
    let source =
        "import time\ndef handle(request, context):\n  print('waiting', flush=True)\n  time.sleep(600)\n";
    let function = Deployed::new(&runner, source).await;
    function.configure(json!({ "timeout_ms": 1500 })).await;

    let begun = Instant::now();
    let (status, code, _, id) = run_problem(function.call(&json!({})).await).await;

    assert!(begun.elapsed() >= Duration::from_millis(1500));
    assert_eq!((status, code.as_str()), (504, "function_timed_out"));
    let run = function.execution(&id).await;
    assert_eq!((&run["status"], &run["error"]["type"]), (&json!("timed_out"), &json!("timed_out")));
    assert_eq!(function.printed(&id).await, ["waiting"]);
    eventually("the container is gone", || async { runner.containers().await == 0 }).await;
}

#[tokio::test]
async fn a_handler_that_exits_has_failed_and_the_next_call_finds_another_instance() {
    let runner = TestRunner::start().await;
    let source =
        "import os\ndef handle(request, context):\n  if request['body']: os._exit(3)\n  return 'fine'\n";
    let function = Deployed::new(&runner, source).await;

    let (status, code, detail, id) = run_problem(function.call(&json!({ "body": true })).await).await;
    assert_eq!((status, code.as_str()), (502, "function_failed"), "{detail}");
    assert_eq!(function.execution(&id).await["error"]["type"], "worker_exited");

    let answer = function.answer(&json!({})).await;
    assert_eq!((&answer["result"], &answer["cold_start"]), (&json!("fine"), &json!(true)));
    eventually("one container is left", || async { runner.containers().await == 1 }).await;
}

#[tokio::test]
async fn a_handler_that_takes_too_much_memory_has_failed_and_says_so() {
    let runner = TestRunner::start().await;
    let source = "def handle(request, context):\n  return len(bytearray(1 << 30))\n";
    let function = Deployed::new(&runner, source).await;

    let (status, code, detail, _) = run_problem(function.call(&json!({})).await).await;

    assert_eq!((status, code.as_str()), (502, "function_failed"));
    assert!(detail.contains("memory"), "{detail}");
}

#[tokio::test]
async fn a_handler_that_prints_without_end_keeps_its_answer_and_the_beginning_of_its_log() {
    let runner = TestRunner::start().await;
    let source =
        "def handle(request, context):\n  for _ in range(100_000): print('x' * 1000)\n  return 'done'\n";
    let function = Deployed::new(&runner, source).await;
    function.configure(json!({ "timeout_ms": 120_000 })).await;

    let answer = function.answer(&json!({})).await;

    assert_eq!(answer["result"], "done");
    let lines = runner.read(&function.path("/logs?limit=1"), &function.owner).await;
    let last = &lines["items"][0];
    assert_eq!(last["stream"], "system");
    assert!(last["text"].as_str().unwrap().contains("were cut"), "{last}");
}

#[tokio::test]
async fn a_large_body_goes_both_ways_and_its_record_is_cut() {
    let runner = TestRunner::start().await;
    let function =
        Deployed::new(&runner, "def handle(request, context):\n  return {'body': request['body']}\n").await;
    function.configure(json!({ "memory_mb": 512, "timeout_ms": 60_000 })).await;
    let body = "x".repeat(5 * 1024 * 1024);

    let answer = function.answer(&json!({ "body": body })).await;

    assert_eq!(answer["result"], body);
    let run = function.execution(answer["execution_id"].as_str().unwrap()).await;
    assert_eq!(
        (&run["result_truncated"], run["result"].as_str().unwrap().len()),
        (&json!(true), 1024 * 1024)
    );
}

#[tokio::test]
async fn calls_at_the_same_time_get_instances_of_their_own_up_to_the_limit() {
    let runner = TestRunner::start_with(&[("INSTANCE_QUEUE", "2")]).await;
    let source =
        "import time\nimport os\ndef handle(request, context):\n  time.sleep(3)\n  return os.getpid()\n";
    let function = Deployed::new(&runner, source).await;
    function.configure(json!({ "max_instances": 2, "timeout_ms": 60_000 })).await;

    let call = json!({});
    let first = function.call(&call);
    let second = function.call(&call);
    let third = function.call(&call);
    let fourth = function.call(&call);
    let statuses = futures_util::future::join_all([first, second, third, fourth]).await;

    let (answered, busy): (Vec<Response>, Vec<Response>) =
        statuses.into_iter().partition(|answer| answer.status() == 200);
    assert!(!busy.is_empty() && answered.len() >= 2, "{} were answered", answered.len());
    for refused in busy {
        assert!(refused.headers().contains_key("retry-after"));
        let (status, code, detail) = problem(refused).await;
        assert_eq!((status, code.as_str()), (429, "function_busy"));
        assert!(detail.starts_with("2 calls of this function wait already, and "), "{detail}");
    }
    assert!(runner.containers().await <= 2);
}

#[tokio::test]
async fn a_new_version_takes_over_and_the_old_instance_goes() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, "def handle(request, context): return 1\n").await;
    assert_eq!(function.answer(&json!({})).await["result"], 1);

    runner.deploy("hello", &[("main.py", "def handle(request, context): return 2\n")], &function.owner).await;

    let answer = function.answer(&json!({})).await;
    assert_eq!((&answer["result"], &answer["cold_start"]), (&json!(2), &json!(false)));
    eventually("one container is left", || async { runner.containers().await == 1 }).await;
}

#[tokio::test]
async fn an_idle_instance_is_removed() {
    let runner = TestRunner::start_with(&[("INSTANCE_IDLE_SECONDS", "1")]).await;
    let function = Deployed::new(&runner, "def handle(request, context): return 1\n").await;
    function.answer(&json!({})).await;

    eventually("no container is left", || async { runner.containers().await == 0 }).await;

    let answer = function.answer(&json!({})).await;
    assert_eq!((&answer["result"], &answer["cold_start"]), (&json!(1), &json!(true)));
    let run = function.execution(answer["execution_id"].as_str().unwrap()).await;
    assert!(run["cold_start_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn deleting_a_function_ends_its_calls_and_its_instances() {
    let runner = TestRunner::start().await;
    let source = "import time\ndef handle(request, context):\n  time.sleep(600)\n";
    let function = Deployed::new(&runner, source).await;
    function.configure(json!({ "timeout_ms": 600_000 })).await;

    let call = json!({});
    let call = function.call(&call);
    let delete = async {
        eventually("the call runs", || async {
            let runs = runner.read(&function.path("/executions"), &function.owner).await;
            runs["items"][0]["status"] == "running"
        })
        .await;
        runner.delete(&function.path(""), &function.owner).await
    };
    let (called, deleted) = tokio::join!(call, delete);

    assert_eq!(deleted.status(), 204);
    let (status, code, ..) = run_problem(called).await;
    assert_eq!((status, code.as_str()), (409, "function_deleted"));
    assert_eq!(runner.containers().await, 0);
}

#[tokio::test]
async fn the_same_idempotency_key_runs_once() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, ECHO).await;
    let call = |body: Value| {
        let request = runner.request(Method::POST, &function.path("/invoke"), &function.owner);
        request.header("idempotency-key", "key-1").json(&json!({ "body": body })).send()
    };

    let first: Value = call(json!(1)).await.unwrap().json().await.unwrap();
    let again: Value = call(json!(1)).await.unwrap().json().await.unwrap();

    assert_eq!(first, again);
    let (status, code, _) = problem(call(json!(2)).await.unwrap()).await;
    assert_eq!((status, code.as_str()), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_a_run_that_ends_and_is_recorded() {
    let runner = TestRunner::start().await;
    let source = "import time\ndef handle(request, context):\n  time.sleep(2)\n  return 'done'\n";
    let function = Deployed::new(&runner, source).await;

    let call = json!({});
    let hung_up = tokio::time::timeout(Duration::from_secs(1), function.call(&call)).await;

    assert!(hung_up.is_err());
    eventually("the run has ended", || async {
        let runs = runner.read(&function.path("/executions"), &function.owner).await;
        runs["items"][0]["status"] == "succeeded" && runs["items"][0]["result"] == "done"
    })
    .await;
}

#[tokio::test]
async fn bad_calls_are_refused_by_field_and_leave_no_run() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, ECHO).await;
    for (call, status, named) in [
        (json!({ "method": "G T" }), 422, "/method"),
        (json!({ "path": "relative" }), 422, "/path"),
        (json!({ "headers": { "a b": "c" } }), 422, "/headers/a b"),
        (json!({ "bodyy": 1 }), 422, "bodyy"),
        (json!({ "body": "x".repeat(9 * 1024 * 1024) }), 413, "larger"),
    ] {
        let (found, _, detail) = problem(function.call(&call).await).await;
        assert_eq!(found, status, "{detail}");
        assert!(detail.contains(named), "{named}: {detail}");
    }
    let runs = runner.read(&function.path("/executions"), &function.owner).await;
    assert_eq!(runs["items"], json!([]));
}

#[tokio::test]
async fn a_stranger_can_neither_call_nor_see_anything() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, ECHO).await;
    let answer = function.answer(&json!({})).await;
    let stranger = runner.person();

    let call = runner.request(Method::POST, &function.path("/invoke"), &stranger).json(&json!({}));
    assert_eq!(call.send().await.unwrap().status(), 404);
    let execution = format!("/api/v1/executions/{}", answer["execution_id"].as_str().unwrap());
    for path in [function.path("/executions"), function.path("/logs"), execution] {
        assert_eq!(runner.get(&path, &stranger).await.status(), 404, "{path}");
    }
}
