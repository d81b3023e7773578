//! One owner's calls, alone and while another owner floods.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use slipway_clients::platform::Client;
use slipway_end_to_end::{Mode, Platform, Project};
use slipway_kernel::FunctionId;

use crate::figures::{Figures, target};
use crate::function::{call, deploy, noops};
use crate::outcomes::Outcomes;

/// The calls that the one makes alone, after a tenth that warms up.
const CALLS: usize = 1_000;
/// The calls of a flood, all at once. It is repeated, so that the one makes enough calls meanwhile.
const FLOOD: usize = 1_000;
const FLOODS: usize = 10;
/// Takes a while without work, so that the flood waits for instances.
const HANDLER: &str = "import time\n\ndef handle(request, context):\n    time.sleep(0.02)\n";
const PAUSE: Duration = Duration::from_millis(1);

pub(crate) async fn measure() {
    let platform = Platform::start(Mode::Separate).await;
    let (quiet, greedy) = (platform.sign_in("quiet").await, platform.sign_in("greedy").await);
    let [(_, noop), _] = noops();
    let called = deploy(&quiet, "called", &noop, None).await;
    let flooded = deploy(&greedy, "flooded", &Project::python(HANDLER), None).await;
    // Its instances are there before anything is measured.
    flood(&greedy, flooded).await;

    let mut alone = Figures::default();
    for round in 0..CALLS + CALLS / 10 {
        let time = timed_call(&quiet, called).await;
        if round >= CALLS / 10 {
            alone.add(time);
        }
    }
    let (mut meanwhile, mut outcomes) = (Figures::default(), Outcomes::default());
    for _ in 0..FLOODS {
        let greedy = greedy.clone();
        // On a thread of its own: what it takes to send so many calls is not of the other's time.
        let flood = tokio::spawn(async move { flood(&greedy, flooded).await });
        while !flood.is_finished() {
            meanwhile.add(timed_call(&quiet, called).await);
        }
        outcomes.join(flood.await.expect("the flood ends"));
    }

    println!("python, {} calls alone, {} meanwhile   p50         p99", alone.count(), meanwhile.count());
    alone.print("alone");
    meanwhile.print("while another floods");
    println!("  the flood: {FLOODS} times {FLOOD} calls at once");
    outcomes.print();
    let ratio = meanwhile.at(0.99).as_secs_f64() / alone.at(0.99).as_secs_f64();
    println!("  {:<32}{ratio:>8.2}", "ratio of the p99s");
    target("ratio <= 2", ratio <= 2.0);
}

async fn timed_call(client: &Client, function: FunctionId) -> Duration {
    tokio::time::sleep(PAUSE).await;
    let started = Instant::now();
    client.invoke(function, &call()).await.expect("an answer");
    started.elapsed()
}

async fn flood(client: &Client, function: FunctionId) -> Outcomes {
    let (call, mut outcomes) = (call(), Outcomes::default());
    for outcome in join_all((0..FLOOD).map(|_| client.invoke(function, &call))).await {
        outcomes.add(outcome);
    }
    outcomes
}
