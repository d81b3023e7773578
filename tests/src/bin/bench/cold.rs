//! A call that had to start an instance, and in turn `podman run` of the same image until Python has printed and ended.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use slipway_end_to_end::{Mode, Platform, Project};
use slipway_models::functions::InvokeRequest;

use crate::figures::{Figures, target};
use crate::function::Deployed;

const CALLS: usize = 20;
const HANDLER: &str = "import os\n\ndef handle(request, context):\n    if request['body'] == 'exit':\n        \
     os._exit(0)\n    return None\n";

pub(crate) async fn measure() {
    let platform = Platform::start(Mode::Separate).await;
    let client = platform.sign_in("cold").await;
    let function = Deployed::new(&platform, &client, "noop", &Project::python(HANDLER), None).await;
    let call = |body| InvokeRequest { body: Some(json!(body)), ..InvokeRequest::default() };
    let (mut calls, mut runs) = (Figures::default(), Figures::default());
    for _ in 0..CALLS {
        // Ends the instance, so that the next call has to start one.
        client.invoke(function.id, &call("exit")).await.expect_err("a handler that exits has failed");
        let started = Instant::now();
        let answer = client.invoke(function.id, &call("fine")).await.expect("an answer");
        if answer.cold_start {
            calls.add(started.elapsed());
        }
        runs.add(podman_run(&function.image));
    }
    function.delete(&client).await;
    println!("python, {} and {CALLS} calls                p50         p99", calls.count());
    calls.print("through the gateway");
    runs.print("podman run to its end");
    let ratio = calls.at(0.5).as_secs_f64() / runs.at(0.5).as_secs_f64();
    println!("  {:<32}{ratio:>8.2}", "ratio of the p50s");
    target("p50 < 400 ms", calls.at(0.5) < Duration::from_millis(400));
}

fn podman_run(image: &str) -> Duration {
    let started = Instant::now();
    let status = Command::new("podman")
        .args(["run", "--rm", "--network", "none", "--ulimit", "nofile=1024", "--ulimit", "nproc=1024"])
        .args(["--entrypoint", "python3", image, "-c", "print(1)"])
        .stdout(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "podman run works");
    started.elapsed()
}
