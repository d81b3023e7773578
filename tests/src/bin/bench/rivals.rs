//! The proxies that the gateway is measured beside, and what answers behind all of them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use slipway_end_to_end::{Running, free_port, nginx_arguments};
use tempfile::TempDir;

use crate::processes::{BESIDE, PROXY, family_of};

const LISTENS_WITHIN: Duration = Duration::from_secs(10);
/// About 200 bytes, as a small answer of an API is.
pub(crate) const ANSWER: &str = r#"{"id":"0199f2c4-8e7a-7cc1-a3f5-2f0f64c1f0aa","name":"hello","runtime":"python","status":"active","created_at":"2026-01-01T00:00:00Z","invocations":12345,"description":"a function that says hello"}"#;

/// Starts a program on a processor; what it says goes to a file.
pub(crate) fn start_on(
    processor: &str,
    program: &str,
    arguments: &[impl AsRef<OsStr>],
    output: &Path,
) -> Running {
    let output = File::create(output).expect("a log");
    let mut command = Command::new("taskset");
    command.args(["-c", processor, program]).args(arguments);
    Running::start(command.stdout(output.try_clone().expect("a log")).stderr(output))
}

/// A program that listens on this machine.
pub(crate) struct Server {
    pub(crate) port: u16,
    running: Running,
}

impl Server {
    /// Starts nginx with one worker. `http` makes what stands in its `http` block, for the port that it is to listen on.
    pub(crate) fn nginx(
        directory: &TempDir,
        name: &str,
        processor: &str,
        http: impl FnOnce(u16) -> String,
    ) -> Self {
        let port = free_port();
        let prefix = directory.path().join(name);
        fs::create_dir(&prefix).expect("a directory");
        let arguments = nginx_arguments(&prefix, &format!("keepalive_requests 10000000;\n{}", http(port)));
        Self::listening(port, start_on(processor, "nginx", &arguments, &prefix.join("output")))
    }

    /// Starts nginx on the proxy's processor, before what listens on `behind`, with an access log. `location` says
    /// more of how it passes requests on.
    pub(crate) fn proxy(directory: &TempDir, name: &str, behind: u16, location: &str) -> Self {
        Self::nginx(directory, name, PROXY, |port| {
            format!(
                "access_log {}/{name}.access;
    upstream behind {{ server 127.0.0.1:{behind}; keepalive 128; keepalive_requests 10000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header connection '';
            {location}
        }}
    }}",
                directory.path().display()
            )
        })
    }

    /// Starts nginx as [`Self::proxy`] does; about each request it asks what listens on `checks`, and passes on who
    /// calls.
    pub(crate) fn asking(directory: &TempDir, name: &str, behind: u16, checks: u16) -> Self {
        Self::nginx(directory, name, PROXY, |port| {
            format!(
                "access_log {}/{name}.access;
    upstream behind {{ server 127.0.0.1:{behind}; keepalive 128; keepalive_requests 10000000; }}
    upstream checks {{ server 127.0.0.1:{checks}; keepalive 128; keepalive_requests 10000000; }}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        location = /check {{
            internal;
            proxy_pass http://checks;
            proxy_pass_request_body off;
            proxy_set_header connection '';
            proxy_set_header content-length '';
        }}
        location / {{
            auth_request /check;
            auth_request_set $user $upstream_http_x_user_id;
            proxy_pass http://behind;
            proxy_set_header connection '';
            proxy_set_header x-user-id $user;
        }}
    }}",
                directory.path().display()
            )
        })
    }

    /// Starts what answers [`ANSWER`] at once to whatever is asked, and 204 at `/check`.
    pub(crate) fn answering(directory: &TempDir) -> Self {
        Self::nginx(directory, "behind", BESIDE, |port| {
            format!(
                "access_log off;
    server {{
        listen 127.0.0.1:{port};
        location = /check {{ return 204; }}
        location / {{ default_type application/json; return 200 '{ANSWER}'; }}
    }}"
            )
        })
    }

    /// Starts `HAProxy`, which verifies each token.
    pub(crate) fn haproxy(directory: &TempDir, behind: u16, public_key: &Path) -> Self {
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
        fs::write(&path, config).expect("the configuration");
        let arguments = ["-f", &path.display().to_string()];
        let log = directory.path().join("haproxy.log");
        Self::listening(port, start_on(PROXY, "haproxy", &arguments, &log))
    }

    /// Waits until a program listens.
    pub(crate) fn listening(port: u16, running: Running) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let since = Instant::now();
        while let Err(fault) = TcpStream::connect(address) {
            assert!(since.elapsed() < LISTENS_WITHIN, "nothing listens on {address}: {fault}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { port, running }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Lists the processes that it consists of.
    pub(crate) fn processes(&self) -> Vec<u32> {
        family_of(self.running.id())
    }
}
