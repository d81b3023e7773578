//! What a call costs beyond the function itself: `make bench`.
//!
//! Warm: a no-op Python function is called through the gateway and, in turn, over the socket of an instance of the same
//! image that this program started itself, so that both see the same noise of the machine. Cold: a call that had to start
//! an instance, and in turn `podman run` of the same image until Python has printed and ended.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark whose surroundings are at fault stops and says so"
)]

mod direct;
mod figures;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use slipway_clients::platform::{Client, Deploy, DeployTarget};
use slipway_end_to_end::{Mode, Platform, Project, images_of};
use slipway_kernel::FunctionId;
use slipway_models::functions::{DeploymentStatus, InvokeRequest};

use crate::direct::DirectInstance;
use crate::figures::Figures;

const WARM_CALLS: usize = 2_000;
const COLD_CALLS: usize = 20;
const HANDLER: &str = "import os\n\ndef handle(request, context):\n    if request['body'] == 'exit':\n        \
     os._exit(0)\n    return None\n";

#[tokio::main]
async fn main() {
    let platform = Platform::start(Mode::Separate).await;
    let client = platform.sign_in("bench").await;
    let function = deploy(&client).await;
    let image = images_of(&platform.state()).pop().expect("the function's image");
    warm(&platform, &client, function, &image).await;
    cold(&client, function, &image).await;
    client.delete_function(function).await.expect("the function is deleted");
}

async fn deploy(client: &Client) -> FunctionId {
    let archive = Project::python(HANDLER).pack();
    let deploy = Deploy { target: DeployTarget::Name("noop"), archive, config: None };
    let answer = client.deploy(deploy, |_| {}).await.expect("a deployment");
    loop {
        match client.deployment(answer.deployment.id).await.expect("the deployment").status {
            DeploymentStatus::Active => return answer.function.id,
            DeploymentStatus::Failed => panic!("the function cannot be built"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn warm(platform: &Platform, client: &Client, function: FunctionId, image: &str) {
    let mut direct = DirectInstance::start(image, &platform.state()).await;
    let call = InvokeRequest { body: Some(json!(1)), ..InvokeRequest::default() };
    let (mut through, mut beside) = (Figures::default(), Figures::default());
    for round in 0..WARM_CALLS + WARM_CALLS / 10 {
        let direct_time = direct.call().await;
        let started = Instant::now();
        let answer = client.invoke(function, &call).await.expect("an answer");
        let through_time = started.elapsed();
        // The first tenth warms caches and connections up.
        if round >= WARM_CALLS / 10 {
            assert!(!answer.cold_start, "the instance is warm");
            through.add(through_time);
            beside.add(direct_time);
        }
    }
    direct.remove().await;
    println!("warm, {WARM_CALLS} calls each            p50         p99");
    through.print("through the gateway");
    beside.print("an instance's bridge directly");
    let overhead = |at: f64| through.at(at).saturating_sub(beside.at(at)).as_secs_f64() * 1e3;
    println!("  {:<32}{:>8.3} ms {:>8.3} ms", "overhead", overhead(0.5), overhead(0.99));
    println!("  target: overhead p50 < 3 ms: {}\n", if overhead(0.5) < 3.0 { "met" } else { "MISSED" });
}

async fn cold(client: &Client, function: FunctionId, image: &str) {
    let call = |body| InvokeRequest { body: Some(json!(body)), ..InvokeRequest::default() };
    let (mut calls, mut runs) = (Figures::default(), Figures::default());
    for _ in 0..COLD_CALLS {
        // Ends the instance, so that the next call has to start one.
        client.invoke(function, &call("exit")).await.expect_err("a handler that exits has failed");
        let started = Instant::now();
        let answer = client.invoke(function, &call("fine")).await.expect("an answer");
        if answer.cold_start {
            calls.add(started.elapsed());
        }
        runs.add(podman_run(image));
    }
    println!("cold, {} and {COLD_CALLS} calls             p50         p99", calls.count());
    calls.print("through the gateway");
    runs.print("podman run to its end");
    let ratio = calls.at(0.5).as_secs_f64() / runs.at(0.5).as_secs_f64();
    println!("  {:<32}{ratio:>8.2}", "ratio of the p50s");
    let met = calls.at(0.5) < Duration::from_millis(400);
    println!("  target: p50 < 400 ms: {}", if met { "met" } else { "MISSED" });
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
