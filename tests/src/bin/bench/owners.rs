//! One owner's calls, alone and while another owner floods.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use slipway_clients::platform::Client;
use slipway_end_to_end::{Mode, Platform, Project};
use slipway_kernel::FunctionId;

use crate::figures::{Figures, target};
use crate::function::{call, deploy, noops};
use crate::outcomes::Outcomes;

/// The calls that the one makes alone, after a tenth that warms up.
const CALLS: usize = 1_000;
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
    // Its instances are there before anything is measured.
    flood(&greedy, flooded, AT_A_TIME[0]).await;

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
            let greedy = greedy.clone();
            // On a thread of its own: what it takes to send so many calls is not of the other's time.
            let flood = tokio::spawn(async move { flood(&greedy, flooded, at_a_time).await });
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
