//! Twenty clients call a no-op function through the gateway, one call after the other each; in turn, as many instances of
//! the same image as the function has are called over their sockets, without a pause.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use slipway_config::Secret;
use slipway_end_to_end::{Mode, Platform, containers_of};

use crate::caller::Caller;
use crate::direct::DirectInstance;
use crate::figures::{Figures, target};
use crate::function::{Deployed, noops};

const CLIENTS: usize = 20;
/// How many instances there are directly: what a function may have by default.
const INSTANCES: usize = 10;
const ROUNDS: usize = 5;
/// One round of each kind.
const ROUND: Duration = Duration::from_secs(3);
/// Rounds of each kind before the first that counts: Node.js compiles for good what it has run thousands of times.
const WARM_UP: usize = 3;

pub(crate) async fn measure() {
    let platform = Platform::start(Mode::Separate).await;
    let token = platform.token_of("throughput").await;
    let client = platform.anonymous().with_token(Secret::new(token.clone()));
    for (name, project) in &noops() {
        let function = Deployed::new(&platform, &client, name, project, None).await;
        compare(&platform, &token, name, &function).await;
        function.delete(&client).await;
    }
}

async fn compare(platform: &Platform, token: &str, name: &str, function: &Deployed) {
    let mut callers = Vec::new();
    for _ in 0..CLIENTS {
        callers.push(Caller::connect(platform, token, function.id).await);
    }
    for _ in 0..WARM_UP {
        through(&mut callers).await;
    }
    let own = containers_of(&platform.state()).len();
    let mut direct = Vec::new();
    for _ in 0..INSTANCES {
        direct.push(DirectInstance::start(&function.image, &platform.state()).await);
    }
    for _ in 0..WARM_UP {
        directly(&mut direct).await;
    }
    let (mut all, mut through_time, mut beside, mut beside_time) = (Figures::default(), 0.0, 0, 0.0);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for time in through(&mut callers).await {
            all.add(time);
        }
        through_time += started.elapsed().as_secs_f64();
        let started = Instant::now();
        beside += directly(&mut direct).await;
        beside_time += started.elapsed().as_secs_f64();
    }
    all_of(direct.into_iter().map(DirectInstance::remove)).await;
    println!("{name}, {} calls of {CLIENTS} clients           p50         p99", all.count());
    all.print("through the gateway");
    let count = u32::try_from(all.count()).unwrap_or(u32::MAX);
    let (rate, direct_rate) = (f64::from(count) / through_time, f64::from(beside) / beside_time);
    println!("  {:<32}{rate:>8.0} calls/s, {own} instances", "through the gateway");
    println!("  {:<32}{direct_rate:>8.0} calls/s, {INSTANCES} instances", "their bridges directly");
    println!("  {:<32}{:>8.2}", "ratio", rate / direct_rate);
    target(">= 2,000 calls/s on 2 processors", rate >= 2_000.0);
    target("ratio >= 0.3", rate / direct_rate >= 0.3);
}

/// Calls through the gateway for one round; returns how long each call took.
async fn through(callers: &mut [Caller]) -> Vec<Duration> {
    let began = Instant::now();
    let one = async |caller: &mut Caller| {
        let mut times = Vec::new();
        while began.elapsed() < ROUND {
            let started = Instant::now();
            caller.call().await;
            times.push(started.elapsed());
        }
        times
    };
    all_of(callers.iter_mut().map(one)).await.concat()
}

/// Calls instances without a pause for one round; returns how often.
async fn directly(instances: &mut [DirectInstance]) -> u32 {
    let began = Instant::now();
    let one = async |instance: &mut DirectInstance| {
        let mut calls = 0;
        while began.elapsed() < ROUND {
            instance.call().await;
            calls += 1;
        }
        calls
    };
    all_of(instances.iter_mut().map(one)).await.into_iter().sum()
}

/// Waits for all of some, of which each is looked at only when something has become of it.
async fn all_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    futures.collect::<FuturesUnordered<_>>().collect().await
}
