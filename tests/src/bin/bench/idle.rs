//! What fifty functions cost the function-runner while nobody calls them, each with an instance that waits.

use std::time::Duration;

use slipway_end_to_end::{Mode, Platform, Project, containers_of};
use slipway_models::functions::FunctionConfigPatch;

use crate::figures::target;
use crate::function::deploy;
use crate::processes::{cpu_seconds, resident};

const FUNCTIONS: usize = 50;
const HANDLER: &str = "def handle(request, context):\n    return None\n";
/// What deploying left to do comes to its end before the window begins.
const SETTLED: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_secs(30);

pub(crate) async fn measure() {
    // None goes while the others are deployed.
    let platform = Platform::start_with(Mode::Separate, &[("INSTANCE_IDLE_SECONDS", "3600")]).await;
    let client = platform.sign_in("idle").await;
    let config = FunctionConfigPatch { memory_mb: Some(64), ..FunctionConfigPatch::default() };
    let project = Project::python(HANDLER);
    for number in 0..FUNCTIONS {
        deploy(&client, &format!("idle-{number}"), &project, Some(&config)).await;
    }
    tokio::time::sleep(SETTLED).await;

    let runner = platform.process_of("slipway-function-runner");
    let before = cpu_seconds(runner);
    tokio::time::sleep(WINDOW).await;
    let share = (cpu_seconds(runner) - before) / WINDOW.as_secs_f64() * 100.0;
    let memory = f64::from(resident(runner)) / 1024.0;

    println!("{FUNCTIONS} functions with {} instances", containers_of(&platform.state()).len());
    println!("  {:<32}{memory:>8.1} MiB", "memory of the runner (RSS)");
    println!("  {:<32}{share:>8.2} % of a processor", "over 30 s");
    target("memory <= 100 MB", memory * 1.048_576 <= 100.0);
    target("processor time <= 2 %", share <= 2.0);
}
