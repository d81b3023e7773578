//! Three replicas behind the gateway under a constant load, of which one is stopped, started again, and made slow. What
//! became of the requests is told by tenths of a second, by when they were due.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::figures::{Figures, target};
use crate::gateway::{address, on_its_processor, write_route};
use crate::load::{Asked, Load, get};
use crate::processes::Aside;
use crate::replica::Replica;

const CONNECTIONS: usize = 32;
const RATE: f64 = 2_000.0;
/// Connections are opened and code is warmed up before anything counts.
const WARM: Duration = Duration::from_secs(2);
/// Between two events, and as long before the first.
const APART: Duration = Duration::from_secs(5);
const BUCKET: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const SHOWN_SECONDS: u32 = 3;
/// From then on, no GET fails.
const BLIND: Duration = Duration::from_millis(200);
/// The second from then on is compared with the time before the first event.
const RECOVERED: Duration = Duration::from_secs(2);

pub(crate) async fn measure() {
    let _aside = Aside::step();
    let directory = tempfile::tempdir().expect("a directory");
    let mut replicas = [Replica::start().await, Replica::start().await, Replica::start().await];
    let ports = replicas.each_ref().map(|replica| replica.port);
    let route = write_route(&directory, &ports, "").display().to_string();
    let platform = on_its_processor(&[("GATEWAY_ROUTES", &route)]).await;
    let load = Load {
        from: Ipv4Addr::LOCALHOST,
        to: address(platform.gateway()),
        request: get("/bench", &platform.token_of("replicas").await),
        connections: CONNECTIONS,
        rate: RATE,
    };
    let started = Instant::now();
    let loading = tokio::task::spawn_blocking(move || load.run(started, WARM + APART * 4));

    tokio::time::sleep(WARM + APART).await;
    let answered = replicas.each_ref().map(Replica::answered);
    let mut events = Vec::new();
    let [first, ..] = &mut replicas;
    events.push(("stopped", started.elapsed()));
    first.stop().await;
    tokio::time::sleep(APART).await;
    events.push(("started again", started.elapsed()));
    first.serve().await;
    tokio::time::sleep(APART).await;
    events.push(("slow by 1 s", started.elapsed()));
    first.slow_down();
    let asked = loading.await.expect("no panic");

    let before = times(&asked, WARM..WARM + APART).at(0.99);
    println!("{RATE} GETs/s over {CONNECTIONS} connections; before: p99 {:.3} ms", milliseconds(before));
    println!("  {:<32}{answered:>8?}", "answered by each replica before");
    let all: u32 = answered.iter().sum();
    target("each of them answers a quarter or more", answered.iter().all(|one| one * 4 >= all));
    for (what, at) in events {
        tell(what, &asked, at, before);
    }
}

/// Tells what became of the requests around an event.
fn tell(what: &str, asked: &[Asked], at: Duration, before: Duration) {
    println!("one of three is {what}: by 100 ms, how many failed of how many, and p99 in ms");
    for second in 0..SHOWN_SECONDS {
        let (failed, slowest): (Vec<_>, Vec<_>) =
            (0..10).map(|tenth| bucket(asked, at + BUCKET * (second * 10 + tenth))).unzip();
        println!("  {second} s {}", failed.concat());
        println!("      {}", slowest.concat());
    }
    let failed: Vec<_> = due(asked, at + BLIND..at + APART).filter(|asked| !asked.is_good()).collect();
    let statuses: BTreeSet<_> = failed.iter().map(|asked| asked.status).collect();
    let said = format!("no GET fails from 200 ms on ({} did: {statuses:?})", failed.len());
    target(&said, failed.is_empty());
    let after = times(asked, at + RECOVERED..at + RECOVERED + SECOND).at(0.99);
    let said = format!("p99 of the third second <= 2 x before ({:.3} ms)", milliseconds(after));
    target(&said, after <= before * 2);
}

/// Writes a bucket's failures and requests, and its p99.
fn bucket(asked: &[Asked], at: Duration) -> (String, String) {
    let all: Vec<&Asked> = due(asked, at..at + BUCKET).collect();
    let failed = all.iter().filter(|asked| !asked.is_good()).count();
    let slowest = milliseconds(times(asked, at..at + BUCKET).at(0.99));
    (format!("{:>9}", format!("{failed}/{}", all.len())), format!("{slowest:>9.1}"))
}

/// Lists the requests that were due in a time.
fn due(asked: &[Asked], time: Range<Duration>) -> impl Iterator<Item = &Asked> {
    asked.iter().filter(move |asked| time.contains(&asked.due))
}

fn times(asked: &[Asked], time: Range<Duration>) -> Figures {
    let mut times = Figures::default();
    due(asked, time).for_each(|asked| times.add(asked.took));
    times
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
