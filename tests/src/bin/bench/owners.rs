//! One owner's calls, alone and while another owner floods: from a thread that yields to all others, as if that one called
//! from another machine.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use rustix::thread::gettid;
use slipway_clients::platform::Client;
use slipway_end_to_end::{Mode, Platform, Project};
use slipway_kernel::FunctionId;
use tokio::runtime::{Builder, Runtime};

use crate::figures::{Figures, target};
use crate::function::{call, deploy, noops};
use crate::outcomes::Outcomes;

/// The calls that the one makes alone, after a tenth that warms up: about as many as during the floods, so that the slowest
/// hundredth of both are as sure.
const CALLS: usize = 4_000;
/// The calls of a flood, which is repeated, so that the one makes enough calls meanwhile.
const FLOOD: usize = 1_000;
const FLOODS: usize = 10;
/// How many of them are under way at a time: more than there are instances and fewer than may wait, then all.
const AT_A_TIME: [usize; 2] = [100, FLOOD];
/// Takes a while without work, so that the flood waits for instances.
const HANDLER: &str = "import time\n\ndef handle(request, context):\n    time.sleep(0.02)\n";
const PAUSE: Duration = Duration::from_millis(1);

pub(crate) async fn measure() {
    let platform = Platform::start(Mode::Separate).await;
    let (quiet, greedy) = (platform.sign_in("quiet").await, platform.sign_in("greedy").await);
    let [(_, noop), _] = noops();
    let called = deploy(&quiet, "called", &noop, None).await;
    let flooded = deploy(&greedy, "flooded", &Project::python(HANDLER), None).await;
    let elsewhere = yielding_runtime();
    let flood_of = |at_a_time| {
        let greedy = greedy.clone();
        elsewhere.spawn(async move { flood(&greedy, flooded, at_a_time).await })
    };
    // Its instances are there before anything is measured.
    flood_of(AT_A_TIME[0]).await.expect("the flood ends");

    let mut alone = Figures::default();
    for round in 0..CALLS + CALLS / 10 {
        let time = timed_call(&quiet, called).await;
        if round >= CALLS / 10 {
            alone.add(time);
        }
    }
    println!("python                                     p50         p99");
    alone.print("alone");
    for at_a_time in AT_A_TIME {
        let (mut meanwhile, mut outcomes) = (Figures::default(), Outcomes::default());
        for _ in 0..FLOODS {
            let flood = flood_of(at_a_time);
            while !flood.is_finished() {
                meanwhile.add(timed_call(&quiet, called).await);
            }
            outcomes.join(flood.await.expect("the flood ends"));
        }
        println!(
            "{} calls while another makes {FLOODS} times {FLOOD}, {at_a_time} at a time",
            meanwhile.count()
        );
        outcomes.print();
        meanwhile.print("meanwhile");
        let ratio = meanwhile.at(0.99).as_secs_f64() / alone.at(0.99).as_secs_f64();
        println!("  {:<32}{ratio:>8.2}", "ratio of the p99s");
        target("ratio <= 2", ratio <= 2.0);
    }
    elsewhere.shutdown_background();
}

/// Makes a thread that gets what of the processors nobody else wants (`SCHED_IDLE`, sched(7)): one of the lowest priority
/// still keeps a processor for whole slices.
fn yielding_runtime() -> Runtime {
    let yields = || {
        let thread = gettid().to_string();
        let chrt = Command::new("chrt").args(["--idle", "--pid", "0", &thread]).status().expect("chrt runs");
        assert!(chrt.success(), "chrt ends with {chrt}");
    };
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().on_thread_start(yields).build();
    runtime.expect("a runtime")
}

async fn timed_call(client: &Client, function: FunctionId) -> Duration {
    tokio::time::sleep(PAUSE).await;
    let started = Instant::now();
    client.invoke(function, &call()).await.expect("an answer");
    started.elapsed()
}

/// Makes the calls of a flood, the next one as one ends.
async fn flood(client: &Client, function: FunctionId, at_a_time: usize) -> Outcomes {
    let call = call();
    let calls = stream::iter(0..FLOOD).map(|_| client.invoke(function, &call)).buffer_unordered(at_a_time);
    calls
        .fold(Outcomes::default(), async |mut outcomes, outcome| {
            outcomes.add(outcome);
            outcomes
        })
        .await
}
