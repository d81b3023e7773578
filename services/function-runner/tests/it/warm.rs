//! Cold starts that take a container which runs already.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::deployed::Deployed;
use crate::faults::RunnerProcess;
use crate::harness::{Surroundings, TestRunner, eventually};
use crate::registry::{NEEDS_TINY, Registry};

/// One container of each runtime.
const WARM: (&str, &str) = ("INSTANCES_WARM", "1");

/// Tells where it runs and what it sees: a warm container has its code mounted, an image's own has not.
const PYTHON: &str = r"
import os

def attempt(action):
    try:
        action()
    except OSError:
        return 'refused'

def handle(request, context):
    return {
        'is_warm': any(line.split()[1] == '/app' for line in open('/proc/mounts')),
        'files': sorted(os.listdir('/app')),
        'version': context.function_version,
        'round': context.env.get('ROUND'),
        'writes': [
            attempt(lambda: open('/app/new', 'w')),
            attempt(lambda: open('/app/main.py', 'a')),
            attempt(lambda: os.chmod('/app/main.py', 0o777)),
            attempt(lambda: os.rename('/app/main.py', '/app/other.py')),
            attempt(lambda: os.link('/app/main.py', '/tmp/main.py')),
        ],
    }
";

/// Three calls that meet end only where they overlap.
const MEETS: &str = r"
import os, threading

barrier = threading.Barrier(3)

def handle(request, context):
    if request['body'] == 'meet':
        barrier.wait(60)
    is_warm = any(line.split()[1] == '/app' for line in open('/proc/mounts'))
    return {'is_warm': is_warm, 'round': context.env.get('ROUND')}
";

const NODE: &str = r"
import fs from 'node:fs';
import { name } from './lib/name.mjs';

export default (request, context) => ({
  is_warm: fs.readFileSync('/proc/mounts', 'utf8').split('\n').some((line) => line.split(' ')[1] === '/app'),
  files: fs.readdirSync('/app').sort(),
  round: process.env.ROUND,
  name,
});
";

const WITH_TINY: [&str; 4] = [".npmrc", "index.mjs", "node_modules", "package.json"];

async fn deploy<'a>(runner: &'a TestRunner, files: &[(&str, &str)]) -> Deployed<'a> {
    let owner = runner.person();
    let answer = runner.deploy("hello", files, &owner).await;
    Deployed { runner, owner, id: answer["function"]["id"].as_str().unwrap().to_owned() }
}

/// Has a new instance started; returns what it answers.
async fn start_anew(function: &Deployed<'_>) -> Value {
    static ROUNDS: AtomicUsize = AtomicUsize::new(0);
    let round = ROUNDS.fetch_add(1, Ordering::Relaxed).to_string();
    function.configure(json!({ "env": { "ROUND": round }, "timeout_ms": 60_000 })).await;
    let answer = function.answer(&json!({})).await;
    assert_eq!((&answer["cold_start"], &answer["result"]["round"]), (&json!(true), &json!(round)));
    answer["result"].clone()
}

/// Has new instances started until one is a warm container; returns what that answers.
async fn start_warm(function: &Deployed<'_>) -> Value {
    let mut seen = Value::Null;
    eventually("a warm container was taken", async || {
        seen = start_anew(function).await;
        seen["is_warm"] == true
    })
    .await;
    seen
}

#[tokio::test]
async fn a_cold_start_gives_a_warm_container_the_code_and_settings_of_one_version() {
    let runner = TestRunner::start_with(&[WARM]).await;
    let (one, other) = tokio::join!(
        deploy(&runner, &[("main.py", PYTHON), ("one.py", "")]),
        deploy(&runner, &[("main.py", PYTHON), ("other/a.py", "")]),
    );

    let (of_one, of_other) = (start_warm(&one).await, start_warm(&other).await);
    runner.deploy("hello", &[("main.py", PYTHON), ("two.py", "")], &one.owner).await;
    let of_two = start_warm(&one).await;

    assert_eq!((&of_one["files"], &of_one["version"]), (&json!(["main.py", "one.py"]), &json!(1)));
    assert_eq!((&of_other["files"], &of_other["version"]), (&json!(["main.py", "other"]), &json!(1)));
    assert_eq!((&of_two["files"], &of_two["version"]), (&json!(["main.py", "two.py"]), &json!(2)));
    for seen in [of_one, of_other, of_two] {
        assert_eq!(seen["writes"], json!(["refused", "refused", "refused", "refused", "refused"]));
    }
}

#[tokio::test]
async fn a_warm_container_runs_node_functions_too() {
    let runner = TestRunner::start_with(&[WARM]).await;
    let files = [("index.mjs", NODE), ("lib/name.mjs", "export const name = 'mine';")];
    let function = deploy(&runner, &files).await;

    let seen = start_warm(&function).await;

    assert_eq!((&seen["files"], &seen["name"]), (&json!(["index.mjs", "lib"]), &json!("mine")));
}

#[tokio::test]
async fn a_warm_container_is_given_what_was_installed_too() {
    let registry = Registry::start().await;
    let runner = TestRunner::start_with(&[WARM, ("BUILD_REGISTRIES", &registry.address)]).await;
    let npmrc = registry.npmrc();
    let files = |handler| [("index.mjs", handler), ("package.json", NEEDS_TINY), (".npmrc", npmrc.as_str())];
    let handler = NODE.replace("./lib/name.mjs", "tiny").replace("{ name }", "{ value as name }");
    let function = deploy(&runner, &files(&handler)).await;

    let seen = start_warm(&function).await;
    assert_eq!((&seen["files"], &seen["name"]), (&json!(WITH_TINY), &json!(7)));

    // Another version, of the same dependencies.
    let changed = handler.replace("name,", "name: name + 1,");
    runner.deploy("hello", &files(&changed), &function.owner).await;
    assert_eq!(start_warm(&function).await["name"], 8);
    assert_eq!(registry.fetched(), 1);
}

#[tokio::test]
async fn a_warm_container_carries_out_several_calls_at_a_time() {
    let runner = TestRunner::start_with(&[WARM]).await;
    let function = deploy(&runner, &[("main.py", MEETS)]).await;
    function.configure(json!({ "concurrency": 3, "max_instances": 1 })).await;
    start_warm(&function).await;

    let meet = json!({ "body": "meet" });
    let (one, two, three) =
        tokio::join!(function.answer(&meet), function.answer(&meet), function.answer(&meet));

    for answer in [one, two, three] {
        assert_eq!((&answer["cold_start"], &answer["result"]["is_warm"]), (&json!(false), &json!(true)));
    }
}

#[tokio::test]
async fn a_version_of_another_size_is_started_from_its_image() {
    let runner = TestRunner::start_with(&[WARM]).await;
    let function = deploy(&runner, &[("main.py", PYTHON)]).await;
    start_warm(&function).await;

    function.configure(json!({ "memory_mb": 160 })).await;

    for _ in 0..3 {
        assert_eq!(start_anew(&function).await["is_warm"], false);
    }
    function.configure(json!({ "memory_mb": 128 })).await;
    start_warm(&function).await;
}

#[tokio::test]
async fn a_version_whose_kept_files_are_damaged_is_started_from_its_image() {
    let runner = TestRunner::start().await;
    let function = deploy(&runner, &[("main.py", PYTHON)]).await;
    let (owner, id) = (function.owner, function.id);
    let surroundings = runner.stop();
    let bundles = surroundings.state.path().join("bundles");
    let bundle = bundles.read_dir().unwrap().next().unwrap().unwrap().path();
    // As after a power cut: the file is there, its content is not.
    std::fs::write(bundle.join("app/main.py"), "").unwrap();

    let runner = TestRunner::start_on(surroundings, &[WARM]).await;
    let function = Deployed { runner: &runner, owner, id };

    eventually("the damaged files are gone", async || {
        assert_eq!(start_anew(&function).await["is_warm"], false);
        !bundle.exists()
    })
    .await;
    assert_eq!(start_anew(&function).await["is_warm"], false);
}

#[tokio::test]
async fn a_warm_container_that_is_killed_is_replaced() {
    let runner = TestRunner::start_with(&[WARM]).await;
    let names = async || -> BTreeSet<String> {
        runner.surroundings().containers().await.into_iter().map(|container| container.name).collect()
    };
    eventually("there is one of each runtime", async || names().await.len() == 2).await;
    let killed = names().await;

    for container in runner.surroundings().containers().await {
        runner.surroundings().kill_container(&container.id).await;
    }

    eventually("there are two others", async || {
        let now = names().await;
        now.len() == 2 && now.is_disjoint(&killed)
    })
    .await;
}

#[tokio::test]
async fn warm_containers_give_their_room_to_instances_and_go_when_the_runner_stops() {
    let runner = TestRunner::start_with(&[("INSTANCES_WARM", "5"), ("INSTANCES_MAX", "2")]).await;
    eventually("the host is full", async || runner.containers().await == 2).await;

    let function = deploy(&runner, &[("main.py", PYTHON)]).await;
    eventually("only one is left beside the instance", async || runner.containers().await == 2).await;
    let other = deploy(&runner, &[("index.mjs", NODE), ("lib/name.mjs", "export const name = 1;")]).await;
    function.answer(&json!({})).await;
    other.answer(&json!({})).await;
    eventually("only the instances are left", async || runner.containers().await == 2).await;

    let surroundings = runner.stop();
    let runner = TestRunner::start_on(surroundings, &[]).await;
    assert_eq!(runner.containers().await, 0);
}

#[tokio::test]
async fn a_runner_that_stops_while_containers_are_created_leaves_none() {
    let mut stopped = Vec::new();
    for moment in 0..10 {
        let runner = TestRunner::start_with(&[("INSTANCES_WARM", "5")]).await;
        eventually("one is there", async || runner.containers().await > 0).await;
        // At another stage of the next one each time; whichever it is, nothing may be left.
        tokio::time::sleep(Duration::from_millis(moment * 25)).await;
        stopped.push(runner.stop());
    }
    // After all of them: what Podman goes on creating for one that is gone is there by now.
    for surroundings in stopped {
        assert_eq!(surroundings.containers().await, []);
    }
}

#[tokio::test]
async fn a_runner_that_is_killed_leaves_no_warm_container() {
    let surroundings = Surroundings::new();
    let process = RunnerProcess::start(&surroundings, &[WARM]);
    eventually("there is one of each runtime", async || surroundings.containers().await.len() == 2).await;
    process.kill();
    assert_eq!(surroundings.containers().await.len(), 2, "a killed process can tidy up nothing");

    let runner = TestRunner::start_on(surroundings, &[]).await;

    eventually("they are gone", async || runner.containers().await == 0).await;
    assert_eq!(runner.state("instances"), Vec::<String>::new());
}
