//! Versions and runs, by the command line.

use std::process::Command;

use serde_json::{Value, json};
use slipway_end_to_end::{Mode, Platform};

use crate::support::{sign_in, succeeds};

fn write_handler(folder: &std::path::Path, body: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("main.py"), format!("def handle(request, context):\n    {body}\n")).unwrap();
}

/// Runs a command that has to fail because the function did; returns what it says.
fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn versions_and_runs_are_managed_by_the_command_line() {
    let mut platform = Platform::start(Mode::Standalone).await;
    sign_in(&platform, "admin");
    let folder = tempfile::tempdir().unwrap();
    let slipway = |arguments: &[&str]| {
        let mut command = platform.slipway("admin");
        command.current_dir(folder.path()).arg("--json").args(arguments);
        command
    };
    let hello = folder.path().join("hello");
    write_handler(&hello, "return ['fine', request['body']]");
    succeeds(&mut slipway(&["deploy", "hello"]));
    write_handler(&hello, "raise ValueError('broken')");
    succeeds(&mut slipway(&["deploy", "hello"]));

    let told = fails(&mut slipway(&["invoke", "hello", "--async", "--wait", "--data", "7"]));
    assert!(told.contains("broken"), "{told}");
    let dead = succeeds(&mut slipway(&["executions", "hello", "--dead-letter"]));
    assert_eq!((&dead[0]["attempt"], &dead[0]["trigger"]), (&json!(3), &json!("async")), "{dead:#}");
    let dead = dead[0]["id"].as_str().unwrap();

    let versions = succeeds(&mut slipway(&["versions", "hello"]));
    let version = |at: usize| (versions[at]["version"].clone(), versions[at]["status"].clone());
    assert_eq!((version(0), version(1)), ((json!(2), json!("active")), (json!(1), json!("superseded"))));
    let function = succeeds(&mut slipway(&["rollback", "hello", "1"]));
    assert_eq!(function["active_version"], 1);
    assert_eq!(slipway(&["rollback", "hello", "3"]).output().unwrap().status.code(), Some(4));

    let replayed = succeeds(&mut slipway(&["replay", dead, "--wait"]));
    assert_eq!(replayed["result"], json!(["fine", 7]));
    assert_eq!(replayed["replayed_from"], dead);
    let accepted = succeeds(&mut slipway(&["invoke", "hello", "--async"]));
    let id = accepted["execution_id"].as_str().unwrap();
    crate::support::eventually("the run's end", async || {
        let runs: Value = succeeds(&mut slipway(&["executions", "hello"]));
        let run = runs.as_array().unwrap().iter().find(|run| run["id"] == id).cloned()?;
        (run["status"] == "succeeded").then_some(())
    })
    .await;
    assert_eq!(slipway(&["cancel", id]).output().unwrap().status.code(), Some(5), "it has ended");
    succeeds(&mut slipway(&["delete", "hello", "--yes"]));
    platform.stop();
}
