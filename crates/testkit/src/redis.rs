use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::free_port;
use crate::tls::{AUTHORITY, CERTIFICATE, KEY, certify};

/// Far above what a start takes.
const READY_WITHIN: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A Redis server of one test's own, on a port of its own, which can be stopped and started. It keeps nothing.
pub struct TestRedis {
    port: u16,
    tls_port: Option<u16>,
    server: Option<Child>,
    directory: TempDir,
}

impl TestRedis {
    /// Starts a server.
    pub fn start_new() -> Self {
        let mut redis = Self { port: free_port(), tls_port: None, server: None, directory: directory() };
        redis.start();
        redis
    }

    /// Starts a server that listens for TLS too, with a certificate for 127.0.0.1 of an authority of its own.
    pub fn start_with_tls() -> Self {
        let directory = directory();
        certify(directory.path(), "IP:127.0.0.1");
        let mut redis = Self { port: free_port(), tls_port: Some(free_port()), server: None, directory };
        redis.start();
        redis
    }

    /// Returns the port of a server that was started with TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls_port.unwrap_or_else(|| panic!("this Redis was started without TLS"))
    }

    /// Returns the certificate of the authority of a server that was started with TLS: `REDIS_CA_FILE`.
    pub fn ca_file(&self) -> String {
        self.directory.path().join(AUTHORITY).display().to_string()
    }

    /// Returns its address: `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again, at the same address, and waits until it answers.
    pub fn start(&mut self) {
        let port = self.port.to_string();
        let arguments = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let server = Command::new("redis-server")
            .args(arguments)
            .args(self.tls_arguments())
            .current_dir(self.directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|fault| panic!("redis-server: {fault}: run scripts/install-packages test"));
        self.server = Some(server);
        let started = Instant::now();
        while self.ask("PING").is_err() {
            assert!(started.elapsed() < READY_WITHIN, "redis-server does not answer within {READY_WITHIN:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn tls_arguments(&self) -> Vec<String> {
        let Some(port) = self.tls_port else { return Vec::new() };
        let arguments = format!(
            "--tls-port {port} --tls-cert-file {CERTIFICATE} --tls-key-file {KEY} --tls-auth-clients no \
             --tls-ca-cert-file {AUTHORITY}"
        );
        arguments.split(' ').map(str::to_owned).collect()
    }

    /// Stops it as a crash does.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Returns how many connections listen to a channel.
    pub fn listeners(&self, channel: &str) -> usize {
        let answer = self.ask(&format!("PUBSUB NUMSUB {channel}"));
        let answer = answer.unwrap_or_else(|fault| panic!("redis-server: {fault}"));
        // An array of the channel and a number: the last line is the number.
        let number =
            answer.trim_end().rsplit("\r\n").next().and_then(|line| line.strip_prefix(':')?.parse().ok());
        number.unwrap_or_else(|| panic!("redis-server answered {answer:?}"))
    }

    /// Returns the names of all keys, as text.
    pub fn names(&self) -> String {
        self.ask("KEYS *").unwrap_or_else(|fault| panic!("redis-server: {fault}"))
    }

    /// Returns how often a command was given since the start, such as `publish`.
    pub fn calls(&self, command: &str) -> u64 {
        let answer = self.ask("INFO commandstats").unwrap_or_else(|fault| panic!("redis-server: {fault}"));
        let prefix = format!("cmdstat_{command}:calls=");
        let line =
            answer.lines().find_map(|line| line.strip_prefix(&prefix)?.split(',').next()?.parse().ok());
        line.unwrap_or_default()
    }

    fn ask(&self, command: &str) -> io::Result<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        connection.set_read_timeout(Some(ANSWER_WITHIN))?;
        connection.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer.trim_end_matches("+OK\r\n").to_owned())
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.stop();
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap_or_else(|fault| panic!("a directory for Redis: {fault}"))
}
