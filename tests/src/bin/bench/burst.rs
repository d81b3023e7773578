//! Two hundred calls at once of a function that has no instance, while its containers are counted from outside.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use slipway_clients::platform::Client;
use slipway_end_to_end::{Mode, Platform, Project, containers_of};
use slipway_kernel::FunctionId;
use slipway_models::functions::{ExecutionStatus, FunctionConfigPatch};

use crate::figures::target;
use crate::function::{call, deploy};
use crate::outcomes::Outcomes;

const CALLS: usize = 200;
const MOST: usize = 10;
const LOOK: Duration = Duration::from_millis(20);
/// Takes a while without work, as a handler does that asks another service.
const HANDLER: &str = "import time\n\ndef handle(request, context):\n    time.sleep(0.02)\n";

pub(crate) async fn measure() {
    let platform = Platform::start(Mode::Separate).await;
    let client = platform.sign_in("burst").await;
    let config = FunctionConfigPatch {
        max_instances: Some(10),
        timeout_ms: Some(60_000),
        ..FunctionConfigPatch::default()
    };
    let function = deploy(&client, "burst", &Project::python(HANDLER), Some(&config)).await;
    // The instance that was checked goes with the change.
    let changed = FunctionConfigPatch { memory_mb: Some(64), ..FunctionConfigPatch::default() };
    client.configure(function, &changed).await.expect("another configuration");
    while !containers_of(&platform.state()).is_empty() {
        tokio::time::sleep(LOOK).await;
    }

    let (outcomes, drained, most) = burst(platform.state(), &client, function).await;

    println!("python, {CALLS} calls at once of a cold function that sleeps for 20 ms");
    outcomes.print();
    println!("  {:<32}{:>8.0} ms", "time to drain", drained.as_secs_f64() * 1e3);
    println!("  {:<32}{most:>8}", "most containers at a time");
    let recorded = succeeded(&client, function).await;
    println!("  {:<32}{recorded:>8}", "recorded as succeeded");
    let none_lost = outcomes.answered + outcomes.busy == CALLS && recorded == outcomes.answered;
    target("none is lost, none fails but by 429", none_lost);
    target("never more than 10 instances", (1..=MOST).contains(&most));
}

async fn burst(state: PathBuf, client: &Client, function: FunctionId) -> (Outcomes, Duration, usize) {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let counter = tokio::task::spawn_blocking(move || {
        let mut most = 0;
        while !over.load(Ordering::Acquire) {
            most = most.max(containers_of(&state).len());
            std::thread::sleep(LOOK);
        }
        most
    });
    let (call, began, mut outcomes) = (call(), Instant::now(), Outcomes::default());
    for outcome in join_all((0..CALLS).map(|_| client.invoke(function, &call))).await {
        outcomes.add(outcome);
    }
    let drained = began.elapsed();
    is_over.store(true, Ordering::Release);
    (outcomes, drained, counter.await.expect("the containers are counted"))
}

/// Counts the runs that are on record as having succeeded.
async fn succeeded(client: &Client, function: FunctionId) -> usize {
    let (mut count, mut cursor) = (0, None);
    loop {
        let page = client.executions(function, cursor.as_deref()).await.expect("the function's runs");
        count += page.items.iter().filter(|run| run.status == ExecutionStatus::Succeeded).count();
        cursor = page.next_cursor;
        if cursor.is_none() {
            return count;
        }
    }
}
