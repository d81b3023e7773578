//! A call that had to start an instance: with a warm container in the pool, and without one, in turn with `podman run`
//! of the same image until its handler has answered.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use slipway_clients::platform::Client;
use slipway_end_to_end::{Mode, Platform, Project, containers_of};
use slipway_models::functions::{InvokeAnswer, InvokeRequest};

use crate::direct::{Bridge, listen};
use crate::figures::{Figures, target};
use crate::function::Deployed;

const CALLS: usize = 40;
/// Warm containers of each of the two runtimes.
const SPARES: usize = 1;
/// How long a new container is left alone, so that its worker waits and the machine is quiet.
const SETTLED: Duration = Duration::from_millis(500);

/// Each ends when it is told to, and else says whether its code is mounted, as it is in a warm container.
const PYTHON: &str = "import os\n\ndef handle(request, context):\n    if request['body'] == 'exit':\n        \
     os._exit(0)\n    return os.stat('/app').st_dev != os.stat('/').st_dev\n";
const NODE: &str = "import fs from 'node:fs';\nexport default (request) => {\n  if (request.body === 'exit') \
     process.exit(0);\n  return fs.statSync('/app').dev !== fs.statSync('/').dev;\n};\n";

const WITH_DEPENDENCIES: &str = "python-and-requests";
/// Some hundreds of files, which are installed and laid out, but not loaded.
const REQUIREMENTS: &str = "requests==2.32.3\n";

pub(crate) async fn measure() {
    let projects = [
        ("python", Project::python(PYTHON)),
        ("node", Project::of(&[("index.mjs", NODE)])),
        (WITH_DEPENDENCIES, Project::of(&[("main.py", PYTHON), ("requirements.txt", REQUIREMENTS)])),
    ];
    let spares = SPARES.to_string();
    let platform = Platform::start_with(Mode::Separate, &[("INSTANCES_WARM", &spares)]).await;
    let client = platform.sign_in("cold").await;
    for (name, project) in &projects {
        let function = Deployed::new(&platform, &client, name, project, None).await;
        with_spare(&platform, &client, name, &function).await;
        function.delete(&client).await;
    }
    drop(platform);

    let platform = Platform::start(Mode::Separate).await;
    let client = platform.sign_in("cold").await;
    for (name, project) in &projects {
        let function = Deployed::new(&platform, &client, name, project, None).await;
        without_spare(&client, name, &function).await;
        function.delete(&client).await;
    }
}

async fn with_spare(platform: &Platform, client: &Client, name: &str, function: &Deployed) {
    let mut calls = Figures::default();
    for _ in 0..CALLS {
        end_instance(client, function).await;
        while containers_of(&platform.state()).len() != 2 * SPARES {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(SETTLED).await;
        let (time, answer) = cold_call(client, function).await;
        if answer.cold_start && answer.result == json!(true) {
            calls.add(time);
        }
    }
    println!("{name}, {} calls with a spare                p50         p99", calls.count());
    calls.print("through the gateway");
    if name == WITH_DEPENDENCIES {
        return;
    }
    let met = calls.at(0.5) <= Duration::from_millis(15) && calls.at(0.99) <= Duration::from_millis(50);
    target("all but a few have one; p50 <= 15 ms, p99 <= 50 ms", met && calls.count() * 10 >= CALLS * 9);
}

async fn without_spare(client: &Client, name: &str, function: &Deployed) {
    let (mut calls, mut runs) = (Figures::default(), Figures::default());
    for _ in 0..CALLS {
        end_instance(client, function).await;
        tokio::time::sleep(SETTLED).await;
        let (time, answer) = cold_call(client, function).await;
        if answer.cold_start {
            calls.add(time);
        }
        runs.add(podman_run(&function.image).await);
    }
    println!("{name}, {} and {CALLS} calls without a spare  p50         p99", calls.count());
    calls.print("through the gateway");
    runs.print("podman run to its first answer");
    let ratio = calls.at(0.5).as_secs_f64() / runs.at(0.5).as_secs_f64();
    println!("  {:<32}{ratio:>8.2}", "ratio of the p50s");
    target("ratio <= 1.3", ratio <= 1.3);
}

/// Ends the instance, so that the next call has to start one.
async fn end_instance(client: &Client, function: &Deployed) {
    client.invoke(function.id, &call("exit")).await.expect_err("a handler that exits has failed");
}

async fn cold_call(client: &Client, function: &Deployed) -> (Duration, InvokeAnswer) {
    let started = Instant::now();
    let answer = client.invoke(function.id, &call("fine")).await.expect("an answer");
    (started.elapsed(), answer)
}

fn call(body: &str) -> InvokeRequest {
    InvokeRequest { body: Some(Value::from(body)), ..InvokeRequest::default() }
}

/// Runs an instance of the image by hand; returns the time until its handler has answered.
async fn podman_run(image: &str) -> Duration {
    let (home, listener) = listen();
    let volume = format!("{}:/run/slipway:ro", home.path().display());
    let started = Instant::now();
    let mut run = podman(&["run", "--rm", "--network", "none", "--volume", &volume]);
    run.args(["--ulimit", "nofile=1024", "--ulimit", "nproc=1024", "--memory", "128m", "--cpus", "0.5"]);
    let mut run = Ended(run.arg(image).spawn().expect("podman is installed"));
    let answered = async {
        Bridge::accept(&listener).await.call().await;
        started.elapsed()
    };
    let time = tokio::time::timeout(Duration::from_mins(1), answered).await.expect("an answer in time");
    // The bridge ends with its connection.
    let ended = run.0.wait();
    assert!(ended.is_ok_and(|status| status.success()), "podman run works");
    time
}

/// A program that does not outlive this one.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

fn podman(arguments: &[&str]) -> Command {
    let mut command = Command::new("podman");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
