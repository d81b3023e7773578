//! What fifty functions cost the function-runner while nobody calls them, each with an instance that waits.

use std::fs;
use std::time::Duration;

use slipway_end_to_end::{Mode, Platform, Project, containers_of};
use slipway_models::functions::FunctionConfigPatch;

use crate::figures::target;
use crate::function::deploy;

const FUNCTIONS: usize = 50;
const HANDLER: &str = "def handle(request, context):\n    return None\n";
/// What deploying left to do comes to its end before the window begins.
const SETTLED: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_secs(30);
/// The kernel's unit in `/proc` (`sysconf(_SC_CLK_TCK)` of Linux on every processor that Slipway runs on).
const TICKS_PER_SECOND: f64 = 100.0;

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
    let memory = resident_mib(runner);

    println!("{FUNCTIONS} functions with {} instances", containers_of(&platform.state()).len());
    println!("  {:<32}{memory:>8.1} MiB", "memory of the runner (RSS)");
    println!("  {:<32}{share:>8.2} % of a processor", "over 30 s");
    target("memory <= 100 MB", memory * 1.048_576 <= 100.0);
    target("processor time <= 2 %", share <= 2.0);
}

/// Returns the processor time of a process so far: `utime` and `stime` of `proc_pid_stat(5)`.
fn cpu_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process");
    let fields = stat.rsplit(") ").next().expect("fields behind the name").split(' ');
    let ticks: u32 = fields.skip(11).take(2).map(|field| field.parse::<u32>().expect("a number")).sum();
    f64::from(ticks) / TICKS_PER_SECOND
}

fn resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kibibytes: u32 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    f64::from(kibibytes) / 1024.0
}
