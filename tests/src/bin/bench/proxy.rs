//! The gateway beside bare reverse proxies. Each has one processor, and in turn; what is behind them (an nginx that answers
//! by itself) and the load (`wrk`) share the other. All keep an access log.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use slipway_end_to_end::{Mode, Platform, free_port};
use slipway_jwt::{AccessIssuer, Grant, SigningKeys};
use slipway_kernel::{SessionId, SystemClock, TokenId, UserId};
use slipway_models::auth::UserType;
use tempfile::TempDir;

use crate::figures::target;

const CONNECTIONS: &str = "64";
const ROUNDS: usize = 3;
const ROUND: &str = "4s";
const TOKENS: usize = 10_000;
/// The processor of the proxy, and the one of everything else.
const PROXY: &str = "0";
const BESIDE: &str = "1";
/// About 200 bytes, as a small answer of an API is.
const ANSWER: &str = r#"{"id":"0199f2c4-8e7a-7cc1-a3f5-2f0f64c1f0aa","name":"hello","runtime":"python","status":"active","created_at":"2026-01-01T00:00:00Z","invocations":12345,"description":"a function that says hello"}"#;
const PATH: &str = "/api/v1/functions/hello";

pub(crate) async fn measure() {
    let directory = tempfile::tempdir().expect("a directory");
    let behind = Behind::start(&directory);
    let upstream = format!("http://127.0.0.1:{}", behind.port);
    // The limits count, and are not reached.
    let settings = [
        ("GATEWAY_WORKERS", "1"),
        ("FUNCTIONS_URL", upstream.as_str()),
        ("GATEWAY_LIMITS", "true"),
        ("GATEWAY_LIMIT_PER_ACCOUNT", "10000000"),
    ];
    let platform = Platform::start_with(Mode::Separate, &settings).await;
    pin(platform.process_of("slipway-gateway"), PROXY);
    let token = platform.token_of("proxy").await;
    let many = write_tokens(&platform, &directory).await;
    let one = write_script(&directory, "one", &[token]);
    let public_key = write_public_key(&platform, &directory);

    let nginx = Nginx::plain(&directory, behind.port);
    let asking = Nginx::asking(&directory, behind.port);
    let haproxy = Haproxy::start(&directory, behind.port, &public_key);
    let gateway = platform.gateway().to_owned();
    let rivals = [
        ("gateway, one token", gateway.clone(), &one),
        ("gateway, 10,000 tokens", gateway, &many),
        ("nginx, no checks", nginx.url(), &one),
        ("nginx, auth_request", asking.url(), &one),
        ("haproxy, jwt_verify", haproxy.url(), &one),
    ];
    let mut rates = [0.0; 5];
    for _ in 0..ROUNDS {
        for (rate, (_, url, script)) in rates.iter_mut().zip(&rivals) {
            *rate += load(url, script) / f64::from(u8::try_from(ROUNDS).expect("few"));
        }
    }
    println!("{CONNECTIONS} connections, {} bytes                    requests/s", ANSWER.len());
    for ((name, ..), rate) in rivals.iter().zip(rates) {
        println!("  {name:<32}{rate:>12.0}");
    }
    let [one, many, plain, asking, haproxy] = rates;
    let least = one.min(many);
    println!("  {:<32}{:>12.2} {:.2}", "of nginx without checks", one / plain, many / plain);
    target(">= 1.0 of nginx without any checks", least >= plain);
    target(">= 4 of nginx with auth_request", least >= 4.0 * asking);
    target(">= 4 of haproxy with jwt_verify", least >= 4.0 * haproxy);
}

/// Puts a load on a proxy; returns the requests a second.
fn load(url: &str, script: &Path) -> f64 {
    let output = Command::new("taskset")
        .args(["-c", BESIDE, "wrk", "-t", "1", "-c", CONNECTIONS, "-d", ROUND, "-s"])
        .arg(script)
        .arg(format!("{url}{PATH}"))
        .output()
        .expect("wrk");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!report.contains("Non-2xx"), "{url} refuses:\n{report}");
    let rate = report.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    rate.and_then(|rate| rate.trim().parse().ok()).unwrap_or_else(|| panic!("wrk says:\n{report}"))
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

/// A program that ends with this.
struct Running(Child);

impl Running {
    fn start(processor: &str, program: &str, arguments: &[&str], output: &Path) -> Self {
        let output = File::create(output).expect("a log");
        let child = Command::new("taskset")
            .args(["-c", processor, program])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a log"))
            .stderr(output)
            .spawn();
        Self(child.unwrap_or_else(|fault| panic!("{program}: {fault}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Politely: a master that is killed leaves its workers behind.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// What answers behind all of them.
struct Behind {
    port: u16,
    _nginx: Running,
}

impl Behind {
    fn start(directory: &TempDir) -> Self {
        let port = free_port();
        let server = format!(
            "access_log off;
    server {{
        listen 127.0.0.1:{port};
        location = /check {{ return 204; }}
        location / {{ default_type application/json; return 200 '{ANSWER}'; }}
    }}"
        );
        Self { port, _nginx: start_nginx(directory, "behind", BESIDE, &server) }
    }
}

struct Nginx {
    port: u16,
    _nginx: Running,
}

impl Nginx {
    fn plain(directory: &TempDir, behind: u16) -> Self {
        Self::start(directory, "plain", behind, "")
    }

    /// Asks a service about each request. This one answers at once, without a look at the token.
    fn asking(directory: &TempDir, behind: u16) -> Self {
        let check = "location = /check {
            internal;
            proxy_pass http://behind;
            proxy_pass_request_body off;
            proxy_set_header content-length '';
            proxy_set_header connection '';
            proxy_http_version 1.1;
        }";
        Self::start(directory, "asking", behind, check)
    }

    fn start(directory: &TempDir, name: &str, behind: u16, check: &str) -> Self {
        let port = free_port();
        let ask = if check.is_empty() { "" } else { "auth_request /check;" };
        let server = format!(
            "access_log {}/{name}.access;
    upstream behind {{ server 127.0.0.1:{behind}; keepalive 128; keepalive_requests 10000000; }}
    server {{
        listen 127.0.0.1:{port};
        {check}
        location / {{
            {ask}
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header connection '';
        }}
    }}",
            directory.path().display()
        );
        Self { port, _nginx: start_nginx(directory, name, PROXY, &server) }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn start_nginx(directory: &TempDir, name: &str, processor: &str, server: &str) -> Running {
    let prefix = directory.path().join(name);
    std::fs::create_dir(&prefix).expect("a directory");
    let config = format!(
        "daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 4096; }}
http {{
    keepalive_requests 10000000;
    {server}
}}
"
    );
    std::fs::write(prefix.join("nginx.conf"), config).expect("the configuration");
    let prefix_text = prefix.display().to_string();
    let arguments = ["-p", &prefix_text, "-c", "nginx.conf", "-e", "error.log"];
    Running::start(processor, "nginx", &arguments, &prefix.join("output"))
}

struct Haproxy {
    port: u16,
    _haproxy: Running,
}

impl Haproxy {
    fn start(directory: &TempDir, behind: u16, public_key: &Path) -> Self {
        let port = free_port();
        let config = format!(
            "global
    nbthread 1
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:{port}
    http-request deny unless {{ http_auth_bearer,jwt_verify(\"RS256\",\"{}\") -m int 1 }}
    default_backend behind
backend behind
    http-reuse always
    server behind 127.0.0.1:{behind}
",
            public_key.display()
        );
        let path = directory.path().join("haproxy.cfg");
        std::fs::write(&path, config).expect("the configuration");
        let arguments = ["-f", &path.display().to_string()];
        let log = directory.path().join("haproxy.log");
        Self { port, _haproxy: Running::start(PROXY, "haproxy", &arguments, &log) }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Ties all threads of a process to a processor.
fn pin(process: u32, processor: &str) {
    let pinned = Command::new("taskset")
        .args(["-a", "-c", "-p", processor, &process.to_string()])
        .stdout(Stdio::null())
        .status();
    assert!(pinned.is_ok_and(|status| status.success()), "the gateway is tied to one processor");
}
