//! A no-op function is called through the gateway and, in turn, over the socket of an instance of the same image that
//! this program started itself.

use std::time::Instant;

use slipway_clients::platform::Client;
use slipway_end_to_end::{Mode, Platform};

use crate::direct::DirectInstance;
use crate::figures::{Figures, target};
use crate::function::{Deployed, call, noops};

const CALLS: usize = 2_000;

pub(crate) async fn measure() {
    let platform = Platform::start(Mode::Separate).await;
    let client = platform.sign_in("warm").await;
    for (name, project) in &noops() {
        let function = Deployed::new(&platform, &client, name, project, None).await;
        overhead(&platform, &client, name, &function).await;
        function.delete(&client).await;
    }
}

async fn overhead(platform: &Platform, client: &Client, name: &str, function: &Deployed) {
    let mut direct = DirectInstance::start(&function.image, &platform.state()).await;
    let call = call();
    let (mut through, mut beside) = (Figures::default(), Figures::default());
    for round in 0..CALLS + CALLS / 10 {
        let direct_time = direct.call().await;
        let started = Instant::now();
        let answer = client.invoke(function.id, &call).await.expect("an answer");
        let through_time = started.elapsed();
        // The first tenth warms caches and connections up.
        if round >= CALLS / 10 {
            assert!(!answer.cold_start, "the instance is warm");
            through.add(through_time);
            beside.add(direct_time);
        }
    }
    direct.remove().await;
    println!("{name}, {CALLS} calls each                  p50         p99");
    through.print("through the gateway");
    beside.print("an instance's bridge directly");
    let overhead = |at: f64| through.at(at).saturating_sub(beside.at(at)).as_secs_f64() * 1e3;
    println!("  {:<32}{:>8.3} ms {:>8.3} ms", "overhead", overhead(0.5), overhead(0.99));
    target("overhead p50 < 1 ms", overhead(0.5) < 1.0);
    target("overhead p99 < 5 ms", overhead(0.99) < 5.0);
}
