use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

/// Debian's own: it has `aiosmtpd`, which another Python on the path may lack.
const PYTHON: &str = "/usr/bin/python3";
const SERVER: &str = include_str!("smtp.py");
/// Far above what a letter takes.
const WITHIN: Duration = Duration::from_mins(2);

/// An SMTP server of one test's own, which can be stopped and started. It takes whatever comes, but for addresses that
/// begin with `refused`.
pub struct TestSmtp {
    port: u16,
    server: Option<Child>,
    letters: Arc<Mutex<Vec<TestLetter>>>,
}

/// A letter that the server was sent.
#[derive(Debug, Clone, Deserialize)]
pub struct TestLetter {
    /// Its sender.
    pub from: String,
    /// Whom it is for.
    pub to: Vec<String>,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same in HTML.
    pub html: String,
}

impl TestLetter {
    /// Returns the token of the letter's link.
    pub fn token(&self) -> String {
        let (_, rest) = self
            .text
            .split_once("#token=")
            .unwrap_or_else(|| panic!("the letter {:?} has no link", self.subject));
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
    }
}

impl TestSmtp {
    /// Starts a server.
    pub fn start_new() -> Self {
        let mut smtp = Self { port: 0, server: None, letters: Arc::default() };
        smtp.start();
        smtp
    }

    /// Returns its address: `SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Starts it again, at the same address, and waits until it listens.
    pub fn start(&mut self) {
        let mut server = Command::new(PYTHON)
            .args(["-c", SERVER, &self.port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|fault| panic!("{PYTHON}: {fault}: run scripts/install-packages test"));
        let mut output = BufReader::new(server.stdout.take().unwrap_or_else(|| panic!("it is piped")));
        let mut port = String::new();
        let read = output.read_line(&mut port).map(|_| port.trim().parse());
        self.port = match read {
            Ok(Ok(port)) => port,
            fault => panic!("the SMTP server does not start ({fault:?}): run scripts/install-packages test"),
        };
        self.server = Some(server);
        let letters = Arc::clone(&self.letters);
        thread::spawn(move || keep(output, &letters));
    }

    /// Stops it as a crash does.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Returns the letters to an address, the oldest first.
    pub fn letters_to(&self, address: &str) -> Vec<TestLetter> {
        let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.iter().filter(|letter| letter.to == [address]).cloned().collect()
    }

    /// Waits until there are `count` letters to an address, and returns the last.
    pub async fn letter_to(&self, address: &str, count: usize) -> TestLetter {
        let arrival = async {
            loop {
                if let Some(letter) = self.letters_to(address).into_iter().nth(count - 1) {
                    return letter;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let arrived = tokio::time::timeout(WITHIN, arrival).await;
        arrived.unwrap_or_else(|_| panic!("no letter number {count} to {address} within {WITHIN:?}"))
    }
}

impl Drop for TestSmtp {
    fn drop(&mut self) {
        self.stop();
    }
}

fn keep(output: BufReader<ChildStdout>, letters: &Mutex<Vec<TestLetter>>) {
    for line in output.lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(letter) => letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter),
            Err(fault) => eprintln!("the SMTP server printed {line:?}: {fault}"),
        }
    }
}
