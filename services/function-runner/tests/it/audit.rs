use diesel::prelude::*;
use diesel::sql_types::Text;
use reqwest::Method;
use serde_json::{Value, json};

use crate::deployed::Deployed;
use crate::harness::{TestRunner, eventually};

const SLEEPER: &str =
    "import time\ndef handle(request, context):\n  time.sleep(request['body'] or 0)\n  return 'slept'\n";

/// Reads what waits to be told, oldest first.
fn outbox(runner: &TestRunner) -> Vec<Value> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        event: String,
    }
    let rows = diesel::sql_query("SELECT event FROM audit_outbox ORDER BY position")
        .load::<Row>(&mut runner.surroundings().database.superuser())
        .unwrap();
    rows.iter().map(|row| serde_json::from_str(&row.event).unwrap()).collect()
}

fn actions(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_an_owner_does_to_a_function_is_on_the_trail_and_no_value_is() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, SLEEPER).await;
    let sent = async |method: Method, path: String, body: Value| {
        let request = runner.request(method, &path, &function.owner).json(&body);
        let answer = request.header("x-request-id", "asked-for").send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json::<Value>().await.unwrap_or_default()
    };
    sent(Method::PATCH, function.path(""), json!({"memory_mb": 64, "env": {"A": "hunter2"}})).await;
    sent(Method::PUT, function.path("/secrets/TOKEN"), json!({"value": "hunter3"})).await;
    sent(Method::DELETE, function.path("/secrets/TOKEN"), Value::Null).await;
    let key = sent(Method::POST, function.path("/keys"), json!({})).await;
    sent(Method::DELETE, function.path(&format!("/keys/{}", key["id"].as_str().unwrap())), Value::Null).await;
    runner.deploy("hello", &[("main.py", "def handle(request, context): return 2\n")], &function.owner).await;
    sent(Method::POST, function.path("/rollback"), json!({"version": 1})).await;
    sent(Method::POST, function.path("/rollback"), json!({"version": 1})).await;
    assert_eq!(runner.delete(&function.path("/secrets/TOKEN"), &function.owner).await.status(), 404);
    assert_eq!(runner.delete(&function.path(""), &function.owner).await.status(), 204);

    let events = outbox(&runner);
    assert_eq!(
        actions(&events),
        [
            "function.deploy",
            "function.activate",
            "function.configure",
            "function.secret_set",
            "function.secret_delete",
            "function.key_create",
            "function.key_delete",
            "function.deploy",
            "function.activate",
            "function.rollback",
            "function.delete",
        ],
        "each change once, and nothing of what did not happen"
    );
    let owner = json!({"type": "user", "id": function.owner.identity.user_id});
    for event in &events {
        let is_own = event["action"] == "function.activate";
        let actor = if is_own { json!({"type": "service", "id": "functions"}) } else { owner.clone() };
        assert_eq!(event["actor"], actor, "{event:#}");
        assert_eq!(event["target"], json!({"type": "function", "id": function.id}));
    }
    let configured = &events[2];
    assert_eq!(configured["details"]["fields"], json!(["env", "memory_mb"]));
    assert_eq!(configured["request_id"], "asked-for");
    assert!(configured["address"].is_null() && configured["sealed_address"].is_string(), "{configured:#}");
    assert_eq!(events[3]["details"]["secret"], "TOKEN");
    let text = json!(events).to_string();
    for secret in ["hunter2", "hunter3", "127.0.0.1", key["secret"].as_str().unwrap()] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn runs_that_are_cancelled_or_replayed_are_on_the_trail_once() {
    let runner = TestRunner::start_with(&[("ASYNC_AT_A_TIME", "1")]).await;
    let function = Deployed::new(&runner, SLEEPER).await;
    function.configure(json!({ "timeout_ms": 600_000 })).await;
    let running = function.send(&json!({ "body": 600 })).await;
    function.becomes(&running, "running").await;
    let queued = function.send(&json!({ "body": 0 })).await;
    for id in [&queued, &queued, &running] {
        assert_eq!(function.about(id, "cancel").await.status(), 200);
    }
    let replayed: Value = function.about(&queued, "replay").await.json().await.unwrap();
    eventually("the replay is over", async || {
        let run = function.execution(replayed["execution_id"].as_str().unwrap()).await;
        run["status"] == "succeeded"
    })
    .await;

    let events = outbox(&runner).split_off(3);
    assert_eq!(actions(&events), ["execution.cancel", "execution.cancel", "execution.replay"]);
    let targets: Vec<&Value> = events.iter().map(|event| &event["target"]["id"]).collect();
    assert_eq!(targets, [&json!(queued), &json!(running), &json!(queued)]);
    assert_eq!(events[2]["details"]["new_execution_id"], replayed["execution_id"]);
}
