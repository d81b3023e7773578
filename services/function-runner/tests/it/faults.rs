//! What happens when something dies in the middle of a call.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel::{PgConnection, RunQueryDsl as _};
use reqwest::Method;
use serde_json::{Value, json};
use slipway_testkit::TestCaller;

use crate::harness::{Surroundings, TestRunner, eventually, problem};

/// The runner as a process of its own, which can be killed. It dies with the test.
pub(crate) struct RunnerProcess {
    child: Child,
    pub(crate) base: String,
}

impl RunnerProcess {
    /// Starts it and waits until it says where it serves.
    pub(crate) fn start(surroundings: &Surroundings, settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_slipway-function-runner"))
            .envs(surroundings.settings())
            .envs(settings.iter().copied())
            .env("LOG_FORMAT", "json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, address) = std::sync::mpsc::channel();
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let send = send.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if let Some(address) = serving_address(&line) {
                        let _ = send.send(address);
                    }
                }
            });
        }
        let address = address.recv_timeout(Duration::from_mins(1)).unwrap();
        Self { child, base: format!("http://{address}") }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for RunnerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serving_address(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = [&line["server.address"], &line["fields"]["server.address"]];
    fields.into_iter().find_map(Value::as_str).map(str::to_owned)
}

async fn invoke(
    client: &reqwest::Client,
    base: &str,
    id: &str,
    caller: &TestCaller,
) -> reqwest::Result<reqwest::Response> {
    let call = client.post(format!("{base}/api/v1/functions/{id}/invoke"));
    call.header("authorization", &caller.authorization).json(&json!({})).send().await
}

#[tokio::test]
async fn a_runner_that_is_killed_leaves_no_container_and_no_open_run_and_its_functions_go_on() {
    const SOURCE: &str = "import os, time\ndef handle(request, context):\n  print('begun', flush=True)\n  \
                          time.sleep(600 if request['body'] == 'sleep' else 0)\n  return 'fine'\n";
    let first = TestRunner::start().await;
    let owner = first.person();
    let deployed = first.deploy("hello", &[("main.py", SOURCE)], &owner).await;
    let id = deployed["function"]["id"].as_str().unwrap().to_owned();
    let configure = first.request(Method::PATCH, &format!("/api/v1/functions/{id}"), &owner);
    assert_eq!(configure.json(&json!({ "timeout_ms": 600_000 })).send().await.unwrap().status(), 200);
    let surroundings = first.stop();

    let process = RunnerProcess::start(&surroundings, &[]);
    let client = reqwest::Client::builder().build().unwrap();
    let finished = invoke(&client, &process.base, &id, &owner).await.unwrap();
    assert_eq!(finished.status(), 200);
    let finished: Value = finished.json().await.unwrap();
    let path = format!("{}/api/v1/functions/{id}", process.base);
    let call = client.post(format!("{path}/invoke")).header("authorization", &owner.authorization);
    let call = tokio::spawn(call.json(&json!({ "body": "sleep" })).send());
    eventually("the run's lines are read", || async {
        let logs = client.get(format!("{path}/logs")).header("authorization", &owner.authorization);
        let logs: Value = logs.send().await.unwrap().json().await.unwrap();
        logs["items"].as_array().is_some_and(|lines| lines.len() == 2)
    })
    .await;
    process.kill();
    assert!(call.await.unwrap().is_err(), "nobody is there to answer");

    let second = TestRunner::start_on(surroundings, &[]).await;
    eventually("no container is left", || async { second.containers().await == 0 }).await;
    let runs = second.read(&format!("/api/v1/functions/{id}/executions"), &owner).await;
    let (cut, whole) = (&runs["items"][0], &runs["items"][1]);
    assert_eq!((&cut["status"], &cut["error"]["type"]), (&json!("failed"), &json!("runner_restarted")));
    assert_eq!((&whole["status"], &whole["id"]), (&json!("succeeded"), &finished["execution_id"]));
    let logs = second.read(&format!("/api/v1/functions/{id}/logs"), &owner).await;
    assert_eq!(logs["items"].as_array().unwrap().len(), 2);
    let answer = invoke(&second.client, &second.base, &id, &owner).await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["result"], "fine");
}

#[tokio::test]
async fn without_the_database_warm_calls_run_and_are_recorded_when_it_is_back() {
    let runner = TestRunner::start().await;
    let owner = runner.person();
    let source = [("main.py", "def handle(request, context): return 1\n")];
    let deployed = runner.deploy("hello", &source, &owner).await;
    let id = deployed["function"]["id"].as_str().unwrap();

    runner.surroundings().database.stop();
    let mut runs = Vec::new();
    for _ in 0..5 {
        let answer = invoke(&runner.client, &runner.base, id, &owner).await.unwrap();
        assert_eq!(answer.status(), 200);
        runs.push(answer.json::<Value>().await.unwrap()["execution_id"].as_str().unwrap().to_owned());
    }
    for run in &runs {
        let run = runner.read(&format!("/api/v1/executions/{run}"), &owner).await;
        assert_eq!(run["status"], "succeeded");
    }
    let listed = runner.get(&format!("/api/v1/functions/{id}/executions"), &owner).await;
    assert!(listed.headers().contains_key("retry-after"));
    let (status, code, _) = problem(listed).await;
    assert_eq!((status, code.as_str()), (503, "unavailable"));

    runner.surroundings().database.start();
    eventually("every run is listed", || async {
        let listed = runner.get(&format!("/api/v1/functions/{id}/executions"), &owner).await;
        let listed: Value = listed.json().await.unwrap();
        listed["items"].as_array().is_some_and(|items| items.len() == runs.len())
    })
    .await;
    let mut behind = runner.surroundings().database.superuser();
    eventually("every run is in the database", || {
        let stored = stored_runs(&mut behind);
        async move { stored == 5 }
    })
    .await;
}

/// Counts the runs that have ended and that the database has.
fn stored_runs(connection: &mut PgConnection) -> i64 {
    let count = "(SELECT count(*) FROM executions WHERE finished_at IS NOT NULL)";
    diesel::select(sql::<BigInt>(count)).get_result(connection).unwrap()
}

#[tokio::test]
async fn a_spool_that_another_process_has_open_is_refused() {
    let runner = TestRunner::start().await;
    let twin = Command::new(env!("CARGO_BIN_EXE_slipway-function-runner"))
        .envs(runner.surroundings().settings())
        .output()
        .unwrap();
    assert_eq!(twin.status.code(), Some(70));
    let said = String::from_utf8_lossy(&[twin.stdout, twin.stderr].concat()).into_owned();
    assert!(said.contains("another process has the spool open"), "{said}");
}
