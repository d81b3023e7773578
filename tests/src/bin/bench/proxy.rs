//! The gateway beside bare reverse proxies. Each has one processor, and in turn; what is behind them (an nginx that answers
//! by itself) and the load share the other. All keep an access log.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_end_to_end::Platform;
use slipway_jwt::{AccessIssuer, Grant, SigningKeys};
use slipway_kernel::{SessionId, SystemClock, TokenId, UserId};
use slipway_models::auth::UserType;
use tempfile::TempDir;

use crate::figures::{Figures, target};
use crate::gateway::{address, on_its_processor};
use crate::load::{Load, get};
use crate::processes::{Aside, BESIDE, cpu_seconds};
use crate::rivals::{ANSWER, Server};
use crate::verifier;

const CONNECTIONS: usize = 64;
/// Many and short: how fast the machine is changes within a minute.
const ROUNDS: u8 = 8;
const ROUND: Duration = Duration::from_secs(2);
/// Each round begins with so much that does not count: a proxy that has idled for as long as the others had their turns is
/// not what its callers see who go on calling.
const WARM_UP: Duration = Duration::from_secs(1);
const TOKENS: usize = 10_000;
const MOST_ADDED: Duration = Duration::from_micros(400);
const PATH: &str = "/api/v1/functions/hello";

pub(crate) async fn measure() {
    let _aside = Aside::step();
    let directory = tempfile::tempdir().expect("a directory");
    let behind = Server::answering(&directory);
    let platform = on_its_processor(&[("FUNCTIONS_URL", &behind.url())]).await;
    let token = platform.token_of("proxy").await;
    let many = write_tokens(&platform, &directory).await;
    let one = write_script(&directory, "one", std::slice::from_ref(&token));
    let public_key = write_public_key(&platform, &directory);

    let nginx = Server::proxy(&directory, "plain", behind.port, "");
    let verifier = verifier::start(&directory, &public_key);
    let asking = Server::asking(&directory, "asking", behind.port, behind.port);
    let asking_really = Server::asking(&directory, "really", behind.port, verifier.port);
    let haproxy = Server::haproxy(&directory, behind.port, &public_key);
    let gateway = [platform.process_of("slipway-gateway")];
    let of_two = [asking_really.processes(), verifier.processes()].concat();
    let mut rivals = [
        Rival::new("gateway, one token", platform.gateway(), &one, &gateway),
        Rival::new("gateway, 10,000 tokens", platform.gateway(), &many, &gateway),
        Rival::new("nginx, no checks, one token", &nginx.url(), &one, &nginx.processes()),
        // What it is sent costs the load's processor more, and tells the proxy nothing.
        Rival::new("nginx, no checks, 10,000 tokens", &nginx.url(), &many, &nginx.processes()),
        Rival::new("nginx, auth_request, all pass", &asking.url(), &one, &asking.processes()),
        Rival::new("nginx, auth_request, verified", &asking_really.url(), &one, &of_two),
        Rival::new("haproxy, jwt_verify", &haproxy.url(), &one, &haproxy.processes()),
    ];
    assert!(refuses(&asking_really.url()) && refuses(&haproxy.url()), "a rival verifies tokens");
    // In the first round the gateway sees each token for the first time, and all open their connections.
    let [_, first_sight, ..] = rivals.each_mut().map(Rival::run);
    rivals.iter_mut().for_each(Rival::forget);
    for _ in 0..ROUNDS {
        for rival in &mut rivals {
            put_load(&rival.url, rival.script, WARM_UP);
            rival.run();
        }
    }
    compare(&rivals, first_sight);
    let half = rivals[0].rate() / 2.0;
    at_half_load(half, &token, [&behind.url(), platform.gateway(), &nginx.url()]);
}

/// What is put under load, and what came of it in all rounds.
struct Rival<'a> {
    name: &'static str,
    url: String,
    script: &'a Path,
    processes: Vec<u32>,
    requests: f64,
    seconds: f64,
    processor_seconds: f64,
}

impl<'a> Rival<'a> {
    fn new(name: &'static str, url: &str, script: &'a Path, processes: &[u32]) -> Self {
        let (url, processes) = (url.to_owned(), processes.to_vec());
        Self { name, url, script, processes, requests: 0.0, seconds: 0.0, processor_seconds: 0.0 }
    }

    /// Puts it under load for a round; returns how many requests it answered a second.
    fn run(&mut self) -> f64 {
        let used = |processes: &[u32]| -> f64 { processes.iter().copied().map(cpu_seconds).sum() };
        let before = used(&self.processes);
        let (requests, seconds) = put_load(&self.url, self.script, ROUND);
        self.requests += requests;
        self.seconds += seconds;
        self.processor_seconds += used(&self.processes) - before;
        requests / seconds
    }

    fn forget(&mut self) {
        (self.requests, self.seconds, self.processor_seconds) = (0.0, 0.0, 0.0);
    }

    fn rate(&self) -> f64 {
        self.requests / self.seconds
    }

    /// Returns the processor time of a request, in seconds: what bounds the rate where the load does not.
    fn cost(&self) -> f64 {
        self.processor_seconds / self.requests
    }
}

/// Compares the rivals. `first_sight` is what the gateway answered a second when it knew none of the many tokens.
fn compare(rivals: &[Rival<'_>; 7], first_sight: f64) {
    println!(
        "{CONNECTIONS} connections, {} bytes                    requests/s   of its processor",
        ANSWER.len()
    );
    for rival in rivals {
        let (busy, each) = (rival.processor_seconds / rival.seconds * 1e2, rival.cost() * 1e6);
        println!("  {:<32}{:>12.0} {busy:>9.0} %, {each:>6.1} us each", rival.name, rival.rate());
    }
    println!("  {:<32}{first_sight:>12.0}", "10,000 tokens, first round");
    let [one, many, plain, plain_many, _, verified, haproxy] = rivals;
    println!("the gateway's rate by others' (one token, many), and by what processor time allows (likewise)");
    for other in &rivals[2..] {
        let of = |gateway: &Rival<'_>| (gateway.rate() / other.rate(), other.cost() / gateway.cost());
        let ((one, one_by_cost), (many, many_by_cost)) = (of(one), of(many));
        println!("  {:<32}{one:>10.2} {many:>10.2} {one_by_cost:>10.2} {many_by_cost:>10.2}", other.name);
    }
    let least = one.rate().min(many.rate());
    let [verified, haproxy] = [verified, haproxy].map(Rival::rate);
    let is_as_fast = one.rate() >= plain.rate() && many.rate() >= plain_many.rate();
    target(">= 1.0 of nginx without any checks, sent the same", is_as_fast);
    target(">= 4 of nginx with an auth_request that verifies", least >= 4.0 * verified);
    target(">= 4 of haproxy with jwt_verify", least >= 4.0 * haproxy);
}

/// Compares answer times where the proxies have room.
fn at_half_load(rate: f64, token: &str, urls: [&str; 3]) {
    let names = ["directly", "gateway, one token", "nginx, no checks"];
    let mut times = [(); 3].map(|()| Figures::default());
    for _ in 0..ROUNDS {
        for (url, times) in urls.iter().zip(&mut times) {
            let load = Load {
                from: Ipv4Addr::LOCALHOST,
                to: address(url),
                request: get(PATH, token),
                connections: CONNECTIONS,
                rate,
            };
            for asked in load.run(Instant::now(), ROUND) {
                assert!(matches!(asked.status, None | Some(200)), "{url} refuses: {:?}", asked.status);
                times.add(asked.took);
            }
        }
    }
    println!("{rate:.0} requests/s, half of the gateway's               p50         p99");
    for (name, times) in names.iter().zip(&times) {
        times.print(name);
    }
    let [directly, gateway, _] = times.map(|times| times.at(0.5));
    target("added p50 <= 0.4 ms at half load", gateway.saturating_sub(directly) <= MOST_ADDED);
}

/// Puts a load on a proxy for so long; returns how many requests were answered, and in how many seconds.
fn put_load(url: &str, script: &Path, time: Duration) -> (f64, f64) {
    let (connections, time) = (CONNECTIONS.to_string(), format!("{}s", time.as_secs()));
    let output = Command::new("taskset")
        .args(["-c", BESIDE, "wrk", "-t", "1", "-c", &connections, "-d", &time, "-s"])
        .arg(script)
        .arg(format!("{url}{PATH}"))
        .output()
        .expect("wrk");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!report.contains("Non-2xx"), "{url} refuses:\n{report}");
    let figures = report.lines().find_map(|line| {
        let (requests, rest) = line.trim().split_once(" requests in ")?;
        Some((requests.parse().ok()?, rest.split_once("s,")?.0.parse().ok()?))
    });
    figures.unwrap_or_else(|| panic!("wrk says:\n{report}"))
}

/// Tells whether a rival refuses a token that nobody signed.
fn refuses(url: &str) -> bool {
    let load = Load {
        from: Ipv4Addr::LOCALHOST,
        to: address(url),
        request: get(PATH, "e30.e30.e30"),
        connections: 1,
        rate: 1.0,
    };
    let asked = load.run(Instant::now(), Duration::from_millis(1));
    asked.iter().all(|asked| matches!(asked.status, Some(401 | 403)))
}

/// Writes what `wrk` sends: the tokens in turn.
fn write_script(directory: &TempDir, name: &str, tokens: &[String]) -> PathBuf {
    let tokens_file = directory.path().join(format!("{name}.tokens"));
    std::fs::write(&tokens_file, tokens.join("\n")).expect("the tokens");
    let script = format!(
        r#"local requests, at = {{}}, 0
init = function()
    for token in io.lines("{}") do
        requests[#requests + 1] = wrk.format("GET", "{PATH}", {{ authorization = "Bearer " .. token }})
    end
end
request = function()
    at = at % #requests + 1
    return requests[at]
end
"#,
        tokens_file.display()
    );
    let path = directory.path().join(format!("{name}.lua"));
    std::fs::write(&path, script).expect("the script");
    path
}

/// Signs tokens as auth does, with its key.
async fn write_tokens(platform: &Platform, directory: &TempDir) -> PathBuf {
    let keys = SigningKeys::load(&platform.keys()).expect("auth's keys");
    let issuer = Arc::new(AccessIssuer::new(keys, Arc::new(SystemClock)));
    let signed = (0..TOKENS).map(|_| {
        let issuer = Arc::clone(&issuer);
        tokio::task::spawn_blocking(move || {
            let grant = Grant {
                token_id: TokenId::generate(),
                user_id: UserId::generate(),
                session_id: SessionId::generate(),
                email: "proxy@example.org".to_owned(),
                handle: "proxy".into(),
                user_type: UserType::Regular,
                apps: ["functions".to_owned()].into(),
                generation: 0,
            };
            issuer.issue(grant).expect("a token").token
        })
    });
    let tokens = futures_util::future::join_all(signed).await;
    let tokens: Vec<String> = tokens.into_iter().map(|token| token.expect("no panic")).collect();
    write_script(directory, "many", &tokens)
}

fn write_public_key(platform: &Platform, directory: &TempDir) -> PathBuf {
    let path = directory.path().join("public.pem");
    let written = Command::new("openssl")
        .args(["rsa", "-pubout", "-in"])
        .arg(platform.keys().join("access-0.pem"))
        .arg("-out")
        .arg(&path)
        .stderr(Stdio::null())
        .status();
    assert!(written.is_ok_and(|status| status.success()), "openssl writes the public key");
    path
}
