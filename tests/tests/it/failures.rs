use slipway_clients::platform::LogQuery;
use slipway_end_to_end::{Mode, Platform, containers_of};
use slipway_models::functions::ExecutionStatus;

use crate::support::{call, client_of, delete, deploy_with, eventually, token_of};

const MISBEHAVING: &str = r#"
import os, sys, time

def handle(request, context):
    what = request["body"]
    if what == "throw":
        raise ValueError("the cupboard is bare")
    if what == "hang":
        print("still here", flush=True)
        time.sleep(3600)
    if what == "exit":
        os._exit(3)
    if what == "flood":
        line = "x" * 99 + "\n"
        for _ in range(1024 * 1024):
            sys.stdout.write(line)
        return "done"
    return what
"#;

#[tokio::test]
async fn what_a_handler_does_wrong_is_its_own_outcome_and_is_recorded() {
    let platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "ada").await;
    let ada = client_of(&platform, &token);
    let config = serde_json::json!({"timeout_ms": 3_000, "memory_mb": 256, "cpu": 2.0});
    let id = deploy_with(&platform, &token, "misbehaving", MISBEHAVING, Some(config)).await;

    for (what, status, code, kind, message) in [
        ("throw", 502, "function_failed", "ValueError", "the cupboard is bare"),
        ("hang", 504, "function_timed_out", "timed_out", ""),
        ("exit", 502, "function_failed", "", "exited with status 3"),
    ] {
        let refused = ada.invoke(id, &call(what.into())).await.err().unwrap();
        assert_eq!((refused.status(), refused.code()), (Some(status), Some(code)), "{what}: {refused}");
        let execution = refused.problem().and_then(|problem| problem.execution_id.clone()).unwrap();
        let run = ada.execution(execution.parse().unwrap()).await.unwrap();
        let expected = if what == "hang" { ExecutionStatus::TimedOut } else { ExecutionStatus::Failed };
        assert_eq!(run.status, expected);
        let error = run.error.unwrap();
        assert!(error.kind.contains(kind), "{what}: {error:?}");
        assert!(error.message.contains(message), "{what}: {error:?}");
        // The next call is served as if nothing had been.
        assert_eq!(ada.invoke(id, &call("fine".into())).await.unwrap().result, "fine");
    }
    let lines = ada.logs(id, &LogQuery::default()).await.unwrap().items;
    assert!(lines.iter().any(|line| line.text == "still here"), "a killed run keeps what it printed");
    delete(&ada, &[id]).await;
    eventually("the end of the instances", async || {
        containers_of(&platform.state()).is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hundred_megabytes_of_log_are_cut_and_counted_and_the_answer_comes() {
    let platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "ada").await;
    let ada = client_of(&platform, &token);
    let config = serde_json::json!({"timeout_ms": 300_000, "memory_mb": 128, "cpu": 2.0});
    let id = deploy_with(&platform, &token, "flood", MISBEHAVING, Some(config)).await;
    let answer = ada.invoke(id, &call("flood".into())).await.unwrap();
    assert_eq!(answer.result, "done");
    let (mut kept, mut note) = (0, None);
    let mut cursor = None;
    loop {
        let query = LogQuery {
            execution_id: Some(answer.execution_id),
            cursor: cursor.as_deref(),
            ..LogQuery::default()
        };
        let page = ada.logs(id, &query).await.unwrap();
        for line in page.items {
            if line.text.starts_with("xxx") {
                kept += line.text.len() + 1;
            } else {
                note = Some(line.text);
            }
        }
        let Some(next) = page.next_cursor else { break };
        cursor = Some(next);
    }
    assert!(kept <= 256 * 1024 && kept > 200 * 1024, "{kept} bytes are kept");
    assert!(note.is_some(), "a note says what was cut");
    delete(&ada, &[id]).await;
}

#[tokio::test]
async fn a_version_that_cannot_be_loaded_leaves_the_one_before_running() {
    let platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "ada").await;
    let ada = client_of(&platform, &token);
    let id = deploy_with(&platform, &token, "steady", MISBEHAVING, None).await;
    for (main, fault) in [
        ("def other(request, context):\n    pass\n", "handle"),
        ("raise RuntimeError('at load')\n", "at load"),
        ("def handle(:\n", "SyntaxError"),
    ] {
        let archive = slipway_end_to_end::pack(slipway_end_to_end::Project::python(main).path());
        let (status, body) = crate::support::post_archive(&platform, &token, "steady", archive, None).await;
        assert_eq!((status, body["code"].as_str()), (422, Some("build_failed")), "{body:#}");
        assert!(body["detail"].as_str().unwrap().contains(fault), "{body:#}");
        assert_eq!(ada.invoke(id, &call("fine".into())).await.unwrap().result, "fine");
    }
    delete(&ada, &[id]).await;
}
