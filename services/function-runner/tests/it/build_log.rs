//! Following what a build prints, and waiting for its turn.

use reqwest::Method;
use serde_json::Value;
use slipway_testkit::TestCaller;

use crate::followed::Followed;
use crate::harness::{TestRunner, form, problem, zip_of};
use crate::registry::Registry;

/// Deploys without waiting for the end; returns the ids of the function and of the deployment.
async fn begin(
    runner: &TestRunner,
    name: &str,
    files: &[(&str, String)],
    caller: &TestCaller,
) -> (String, String) {
    let files: Vec<_> = files.iter().map(|(name, content)| (*name, content.as_str())).collect();
    let answer = runner.send_form(form(name, zip_of(&files)), "", caller).await;
    assert_eq!(answer.status(), 202);
    let body: Value = answer.json().await.unwrap();
    let id = |part: &str| body[part]["id"].as_str().unwrap().to_owned();
    (id("function"), id("deployment"))
}

fn python(number: u32) -> Vec<(&'static str, String)> {
    vec![("main.py", format!("def handle(request, context): return {number}"))]
}

/// Reads on to the next line; returns its id and its text, and the statuses before it.
async fn next_line(followed: &mut Followed) -> (String, String, Vec<String>) {
    let mut statuses = Vec::new();
    loop {
        let (id, kind, data) = followed.next().await.unwrap();
        let data: Value = serde_json::from_str(&data).unwrap();
        if kind.is_empty() {
            return (id, data["text"].as_str().unwrap().to_owned(), statuses);
        }
        assert_eq!(kind, "status", "{data}");
        statuses.push(data["status"].as_str().unwrap().to_owned());
    }
}

/// Reads on to the end; returns the lines before it, and how the deployment ended.
async fn read_to_end(followed: &mut Followed) -> (Vec<String>, Value) {
    let mut lines = Vec::new();
    loop {
        let (_, kind, data) = followed.next().await.unwrap();
        let data: Value = serde_json::from_str(&data).unwrap();
        match kind.as_str() {
            "" => lines.push(data["text"].as_str().unwrap().to_owned()),
            "end" => {
                assert!(followed.next().await.is_none(), "nothing comes after the end");
                return (lines, data);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_build_is_followed_while_it_prints_and_to_its_end() {
    let registry = Registry::start_closed().await;
    let runner = TestRunner::start_with(&[("BUILD_REGISTRIES", &registry.address)]).await;
    let ada = runner.person();
    let (_, id) = begin(&runner, "tiny", &registry.function(), &ada).await;
    let path = format!("/api/v1/deployments/{id}/logs?follow=true");
    registry.asked().await;

    let mut followed = Followed::new(&runner, &path, None, &ada).await;
    let (first, command, statuses) = next_line(&mut followed).await;

    assert!(command.starts_with("$ ") && command.contains("npm install"), "{command}");
    assert_eq!(statuses, ["building"]);
    let mut again = Followed::new(&runner, &path, Some(&first), &ada).await;
    registry.open();
    let (lines, end) = read_to_end(&mut followed).await;
    assert_eq!((&end["id"], &end["status"]), (&Value::from(id.as_str()), &Value::from("active")));
    assert_eq!(lines.last().unwrap(), "packing the image");
    assert_eq!(
        read_to_end(&mut again).await,
        (lines.clone(), end.clone()),
        "from after the line that was seen"
    );

    // What is over is told the same way.
    let whole = [vec![command], lines.clone()].concat();
    let mut over = Followed::new(&runner, &path, None, &ada).await;
    assert_eq!(read_to_end(&mut over).await, (whole.clone(), end.clone()));
    let mut over = Followed::new(&runner, &path, Some(&first), &ada).await;
    assert_eq!(read_to_end(&mut over).await, (lines, end));
    let log = runner.read(&format!("/api/v1/deployments/{id}/logs"), &ada).await;
    assert_eq!(log["log"], whole.join("\n") + "\n");
}

#[tokio::test]
async fn a_build_that_fails_says_why_at_its_end_and_nobody_else_may_follow_it() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let broken = vec![("main.py", "import nothing_of_that_name".to_owned())];
    let (_, id) = begin(&runner, "hello", &broken, &ada).await;
    let path = format!("/api/v1/deployments/{id}/logs?follow=true");

    let mut followed = Followed::new(&runner, &path, None, &ada).await;
    let (lines, end) = read_to_end(&mut followed).await;

    assert_eq!(end["status"], "failed");
    assert!(end["error"].as_str().unwrap().contains("nothing_of_that_name"), "{end}");
    assert!(lines.iter().any(|line| line.contains("nothing_of_that_name")), "{lines:?}");
    let (status, code, _) = problem(runner.get(&path, &runner.person()).await).await;
    assert_eq!((status, code.as_str()), (404, "not_found"));
    let bad = runner.request(Method::GET, &path, &ada).header("last-event-id", "7").send().await.unwrap();
    let (status, code, _) = problem(bad).await;
    assert_eq!((status, code.as_str()), (400, "invalid_request"));
}

#[tokio::test]
async fn whoever_follows_a_build_is_let_go_when_its_function_is_deleted_or_the_runner_stops() {
    let registry = Registry::start_closed().await;
    let runner = TestRunner::start_with(&[("BUILD_REGISTRIES", &registry.address)]).await;
    let ada = runner.person();
    let (function, id) = begin(&runner, "deleted", &registry.function(), &ada).await;
    let path = format!("/api/v1/deployments/{id}/logs?follow=true");
    let mut followed = Followed::new(&runner, &path, None, &ada).await;
    next_line(&mut followed).await;
    let deleted = runner.delete(&format!("/api/v1/functions/{function}"), &ada).await;
    assert_eq!(deleted.status(), 204);
    while let Some((_, kind, _)) = followed.next().await {
        assert_ne!(kind, "end");
    }
    assert_eq!(runner.get(&path, &ada).await.status(), 404);

    let (_, id) = begin(&runner, "stopped", &registry.function(), &ada).await;
    let path = format!("/api/v1/deployments/{id}/logs?follow=true");
    let mut followed = Followed::new(&runner, &path, None, &ada).await;
    next_line(&mut followed).await;
    let surroundings = runner.stop();
    while let Some((_, kind, _)) = followed.next().await {
        assert_ne!(kind, "end");
    }
    // Its files are kept: the next start takes it up.
    registry.open();
    let runner = TestRunner::start_on(surroundings, &[("BUILD_REGISTRIES", &registry.address)]).await;
    let mut followed = Followed::new(&runner, &path, None, &ada).await;
    assert_eq!(read_to_end(&mut followed).await.1["status"], "active");
}

#[tokio::test]
async fn many_deployments_of_one_owner_do_not_hold_back_anothers() {
    let registry = Registry::start_closed().await;
    let settings = [("BUILD_REGISTRIES", registry.address.as_str()), ("BUILDS_AT_A_TIME", "1")];
    let runner = TestRunner::start_with(&settings).await;
    let (ada, bob) = (runner.person(), runner.person());
    begin(&runner, "first", &registry.function(), &ada).await;
    registry.asked().await;
    let (_, second) = begin(&runner, "second", &python(2), &ada).await;
    begin(&runner, "third", &python(3), &ada).await;
    let (_, bobs) = begin(&runner, "bobs", &python(4), &bob).await;

    let path = format!("/api/v1/deployments/{second}/logs?follow=true");
    let mut followed = Followed::new(&runner, &path, None, &ada).await;
    let (_, waits, _) = next_line(&mut followed).await;
    assert_eq!(waits, "waiting for a builder: next in turn");
    let (_, waits, _) = next_line(&mut followed).await;
    assert_eq!(waits, "waiting for a builder: after 1 other deployment", "that of bob, who had no turn yet");
    registry.open();
    assert_eq!(read_to_end(&mut followed).await.1["status"], "active");

    let ended = |deployment: &Value| deployment["finished_at"].as_str().unwrap().to_owned();
    let second = runner.outcome(&second, &ada).await;
    let bobs = runner.outcome(&bobs, &bob).await;
    assert!(ended(&bobs) < ended(&second), "{bobs} {second}");
}
