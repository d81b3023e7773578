//! What callers who are signed in feel of attacks that come from another address. The attackers are a process of their own
//! that yields to them: both are on the processor beside the gateway's, and it is the gateway that is measured.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use slipway_end_to_end::Platform;

use crate::attacker::{self, Attack};
use crate::figures::{Figures, target};
use crate::gateway::{address, on_its_processor};
use crate::load::{Load, get};
use crate::processes::{Aside, BESIDE, cpu_seconds};
use crate::rivals::Server;

const CALLERS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const CONNECTIONS: usize = 16;
const RATE: f64 = 500.0;
/// How long callers are measured, without an attack and under one.
const TIME: Duration = Duration::from_secs(10);
/// How long an attack goes on before they are measured.
const BEGUN: Duration = Duration::from_secs(2);
const CAPACITY_TIME: Duration = Duration::from_secs(5);

pub(crate) async fn measure() {
    let _aside = Aside::step();
    let directory = tempfile::tempdir().expect("a directory");
    let behind = Server::answering(&directory);
    let token_file = directory.path().join("token");
    // How many it looks at in a second where no limit keeps it from that.
    let capacity = {
        let platform =
            on_its_processor(&[("FUNCTIONS_URL", &behind.url()), ("GATEWAY_LIMITS", "false")]).await;
        let attacked = Attacked::new(&platform, &token_file).await;
        attacked.attack(Attack::Tokens, 0.0, CAPACITY_TIME).wait().rate(CAPACITY_TIME)
    };
    let platform = on_its_processor(&[("FUNCTIONS_URL", &behind.url())]).await;
    let attacked = Attacked::new(&platform, &token_file).await;
    attacked.callers(BEGUN);
    println!("{RATE} requests/s of callers, 10 s each              p50         p99");
    println!("  {:<32}{capacity:>8.0} requests/s", "garbage tokens without limits");
    attacked.withstands("slow headers", Attack::SlowHeaders, 0.0);
    attacked.withstands("garbage tokens", Attack::Tokens, 2.0 * capacity);
    attacked.withstands("floods of headers", Attack::Headers, 0.0);
}

/// A gateway, and those who call it all the time.
struct Attacked<'a> {
    load: Load,
    token_file: &'a Path,
    gateway: u32,
}

impl<'a> Attacked<'a> {
    /// Signs somebody in, whose token is written to a file.
    async fn new(platform: &Platform, token_file: &'a Path) -> Self {
        let token = platform.token_of("attacks").await;
        std::fs::write(token_file, &token).expect("a file");
        let load = Load {
            from: CALLERS,
            to: address(platform.gateway()),
            request: get(attacker::PATH, &token),
            connections: CONNECTIONS,
            rate: RATE,
        };
        Self { load, token_file, gateway: platform.process_of("slipway-gateway") }
    }

    /// Measures callers before an attack and under it, and says what it did.
    fn withstands(&self, name: &str, attack: Attack, rate: f64) {
        let (quiet, failed_before) = self.callers(TIME);
        let attackers = self.attack(attack, rate, BEGUN + TIME);
        std::thread::sleep(BEGUN);
        let (busy, began) = (cpu_seconds(self.gateway), Instant::now());
        let (noisy, failed) = self.callers(TIME);
        let busy = (cpu_seconds(self.gateway) - busy) / began.elapsed().as_secs_f64();
        let report = attackers.wait();
        quiet.print(&format!("before {name}"));
        noisy.print(&format!("under {name}"));
        println!("  {:<32}{}; the gateway's processor: {:.0} %", "", report.0, busy * 1e2);
        report.check(attack);
        let (before, under) = (quiet.at(0.99), noisy.at(0.99));
        let times = under.as_secs_f64() / before.as_secs_f64();
        target(&format!("{name}: p99 <= 3 x ({times:.1} x)"), times <= 3.0);
        target(&format!("{name}: callers are answered ({failed} not)"), failed_before + failed == 0);
    }

    /// Has callers ask; returns how long good answers took, and how many there were not.
    fn callers(&self, time: Duration) -> (Figures, usize) {
        let (mut times, mut failed) = (Figures::default(), 0);
        for asked in self.load.run(Instant::now(), time) {
            failed += usize::from(!asked.is_good());
            times.add(asked.took);
        }
        (times, failed)
    }

    fn attack(&self, attack: Attack, rate: f64, time: Duration) -> Attackers {
        let own = std::env::current_exe().expect("the own path");
        let child = Command::new("taskset")
            .args(["-c", BESIDE, "chrt", "--idle", "0"])
            .arg(own)
            .args([attacker::ARGUMENT, attack.name(), &self.load.to.to_string()])
            .args([&rate.to_string(), &time.as_secs().to_string()])
            .arg(self.token_file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        Attackers(child.expect("attackers"))
    }
}

/// Ends by itself when its time is over.
struct Attackers(Child);

impl Attackers {
    fn wait(self) -> Report {
        let output = self.0.wait_with_output().expect("attackers");
        assert!(output.status.success(), "the attackers end with {}", output.status);
        Report(serde_json::from_slice(&output.stdout).expect("a report"))
    }
}

/// What attackers did, and how they were answered.
struct Report(Value);

impl Report {
    /// Returns how many were answered a second.
    fn rate(&self, time: Duration) -> f64 {
        self.0["answered"].as_f64().expect("a number") / time.as_secs_f64()
    }

    /// Makes sure that there was an attack, and that it got nothing.
    fn check(&self, attack: Attack) {
        let number = |name: &str| self.0[name].as_u64().unwrap_or_default();
        assert!(
            number("opened") >= u64::from(attack.connections()),
            "the attackers do not get through: {}",
            self.0
        );
        assert!(self.0["statuses"]["200"].is_null(), "an attacker is let in: {}", self.0);
    }
}
