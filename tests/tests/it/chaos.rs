//! What is acknowledged stays so, whatever is killed in between.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::json;
use slipway_clients::ClientError;
use slipway_clients::platform::Client;
use slipway_end_to_end::{Blow, Platform, Victims, containers_of, networks_of, watchers_of};
use slipway_kernel::{ExecutionId, FunctionId};
use slipway_models::functions::{ExecutionBody, ExecutionStatus};
use tokio::task::JoinSet;

use crate::support::{call, client_of, delete, deploy_with, eventually, token_of};

const CALLS: usize = 200;
const CALLERS: usize = 4;

const MIXED: &str = r#"
import time

def handle(request, context):
    what = request["body"]["what"]
    if what == "fail":
        raise ValueError("as asked")
    if what == "slow":
        time.sleep(0.3)
    if what == "late":
        time.sleep(600)
    if what == "print":
        for number in range(50):
            print("line", number)
    return "x" * 300_000 if what == "large" else what
"#;

/// What a call is asked to do; few are late, for each of these takes its instance with it.
const KINDS: [&str; 10] = ["ok", "fail", "slow", "print", "large", "ok", "fail", "slow", "ok", "late"];

/// `SplitMix64`: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    /// Twice each blow, in any order.
    fn blows(&mut self) -> Vec<Blow> {
        let mut blows = Blow::ALL.repeat(2);
        for last in (1..blows.len()).rev() {
            blows.swap(last, self.below(last + 1));
        }
        blows
    }
}

/// The number that decides the order and the moments: of the environment, to see a failure again, or of the clock.
fn seed() -> u64 {
    match std::env::var_os("SLIPWAY_CHAOS_SEED") {
        Some(seed) => seed.to_str().unwrap().parse().unwrap(),
        None => SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_every_acknowledged_call_has_one_final_record_and_nothing_is_orphaned() {
    let seed = seed();
    println!("SLIPWAY_CHAOS_SEED={seed}");
    let mut random = Random(seed);
    let mut victims = Victims::start_with(&[("INSTANCE_SWEEP_SECONDS", "1")]).await;
    let token = token_of(&victims.platform, "ada").await;
    let ada = client_of(&victims.platform, &token);
    let config = json!({"timeout_ms": 3_000, "max_instances": 3});
    let id = deploy_with(&victims.platform, &token, "mixed", MIXED, Some(config)).await;

    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut callers = call_from_several(&ada, id, &acknowledged);
    let blows = random.blows();
    let share = CALLS / (blows.len() + 1);
    for (index, blow) in blows.into_iter().enumerate() {
        let moment = share * index + random.below(share);
        eventually("the moment", async || (acknowledged.load(Ordering::SeqCst) >= moment).then_some(()))
            .await;
        let restarted = victims.strike(blow, |containers| random.below(containers)).await;
        eventually("an answer", async || ada.invoke(id, &call(json!({"what": "ok"}))).await.ok()).await;
        eventually("a list", async || ada.executions(id, None).await.ok()).await;
        println!("{blow:?} after {moment} calls: served again after {:?}", restarted.elapsed());
    }
    let mut told = HashMap::new();
    while let Some(answers) = callers.join_next().await {
        told.extend(answers.unwrap());
    }

    assert_eq!(told.len(), CALLS, "no execution is told of twice");
    let recorded = eventually("the end of every run", async || all_final(&ada, id).await).await;
    for (execution, status) in told {
        let run =
            recorded.get(&execution).unwrap_or_else(|| panic!("{execution} has no record; seed {seed}"));
        assert_eq!(run.status, status, "seed {seed}: {run:#?}");
    }
    nothing_is_orphaned(&mut victims.platform, &ada, id).await;
    victims.end().await;
}

type Told = HashMap<ExecutionId, ExecutionStatus>;

/// Makes the calls, each until it is acknowledged, and collects what was told of their runs.
fn call_from_several(ada: &Client, id: FunctionId, acknowledged: &Arc<AtomicUsize>) -> JoinSet<Told> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (ada, acknowledged) = (ada.clone(), Arc::clone(acknowledged));
        callers.spawn(async move {
            let mut told = HashMap::new();
            for number in 0..CALLS / CALLERS {
                let what = KINDS[(number + caller) % KINDS.len()];
                let (execution, status) = until_told(&ada, id, what).await;
                assert!(told.insert(execution, status).is_none(), "{execution} was told of before");
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            told
        });
    }
    callers
}

/// Calls until something is known of a run.
async fn until_told(ada: &Client, id: FunctionId, what: &str) -> (ExecutionId, ExecutionStatus) {
    let told = async {
        loop {
            if let Some(told) = told_of(ada, id, what).await {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), told).await.unwrap()
}

/// Calls once. `None` is a call of which nothing is known: nobody answered, or it was turned away.
async fn told_of(ada: &Client, id: FunctionId, what: &str) -> Option<(ExecutionId, ExecutionStatus)> {
    let fault: ClientError = match ada.invoke(id, &call(json!({"what": what}))).await {
        Ok(answer) => {
            let expected = if what == "large" { 300_000 } else { what.len() };
            assert_eq!(answer.result.as_str().map(str::len), Some(expected), "{what}: {answer:?}");
            return Some((answer.execution_id, ExecutionStatus::Succeeded));
        }
        Err(fault) => fault,
    };
    let execution = fault.problem()?.execution_id.as_ref()?.parse().unwrap();
    let status =
        if fault.status() == Some(504) { ExecutionStatus::TimedOut } else { ExecutionStatus::Failed };
    Some((execution, status))
}

/// All runs of a function by their ids, once each has ended.
async fn all_final(ada: &Client, id: FunctionId) -> Option<HashMap<ExecutionId, ExecutionBody>> {
    let mut runs = HashMap::new();
    let mut cursor = None;
    loop {
        let page = ada.executions(id, cursor.as_deref()).await.ok()?;
        for run in page.items {
            run.finished_at?;
            assert!(runs.insert(run.id, run.clone()).is_none(), "two records of one run: {run:#?}");
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Some(runs);
        }
    }
}

async fn nothing_is_orphaned(platform: &mut Platform, ada: &Client, id: FunctionId) {
    delete(ada, &[id]).await;
    eventually("the end of all instances", async || {
        containers_of(&platform.state()).is_empty().then_some(())
    })
    .await;
    platform.stop();
    assert_eq!(containers_of(&platform.state()), Vec::<String>::new());
    assert_eq!(networks_of(&platform.state()), Vec::<String>::new());
    eventually("the end of what watched over them", async || {
        watchers_of(&platform.state()).is_empty().then_some(())
    })
    .await;
    assert_eq!(platform.instance_directories(), Vec::<String>::new());
}
