//! Attackers, against a gateway on this machine and for a bounded time: a process of its own, see [`crate::attacks`].

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::answers::Answers;

/// As the first argument of the bench, has it be this: with an attack, an address, requests a second (0: each once the
/// one before is answered), seconds, and the file of a good token.
pub(crate) const ARGUMENT: &str = "--attacker";
pub(crate) const PATH: &str = "/api/v1/functions/hello";

const BYTE_EVERY: Duration = Duration::from_secs(1);
/// Before a connection is opened in the place of one that ended.
const AGAIN_AFTER: Duration = Duration::from_millis(10);
const LONGEST: u64 = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Slowloris: a byte of a header now and then.
    SlowHeaders,
    /// Tokens of the right form, each with another wrong signature.
    Tokens,
    /// Requests with very many headers, and with huge ones.
    Headers,
}

impl Attack {
    const ALL: [Self; 3] = [Self::SlowHeaders, Self::Tokens, Self::Headers];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SlowHeaders => "slow-headers",
            Self::Tokens => "tokens",
            Self::Headers => "headers",
        }
    }

    pub(crate) fn connections(self) -> u32 {
        match self {
            Self::SlowHeaders => 1_000,
            Self::Tokens | Self::Headers => 64,
        }
    }
}

/// Attacks as the arguments say, and prints what came of it.
pub(crate) async fn run(arguments: &[String]) {
    let [name, address, rate, seconds, token] = arguments else { panic!("{ARGUMENT} takes five arguments") };
    let attack = Attack::ALL.into_iter().find(|attack| attack.name() == name).expect("an attack");
    let to: SocketAddrV4 = address.parse().expect("an address");
    assert!(to.ip().is_loopback(), "only this machine is attacked");
    let rate: f64 = rate.parse().expect("a rate");
    let seconds: u64 = seconds.parse().expect("seconds");
    let until = Instant::now() + Duration::from_secs(seconds.min(LONGEST));
    let token = std::fs::read_to_string(token).expect("a token");
    let (unsigned, _) = token.rsplit_once('.').expect("a signed token");
    let attacker = Arc::new(Attacker {
        attack,
        to,
        unsigned: unsigned.to_owned(),
        every: (rate > 0.0).then(|| Duration::from_secs_f64(f64::from(attack.connections()) / rate)),
        counts: Counts::default(),
    });
    let mut all = JoinSet::new();
    for _ in 0..attack.connections() {
        let attacker = Arc::clone(&attacker);
        all.spawn(async move { timeout_at(until, attacker.go_on()).await });
    }
    all.join_all().await;
    attacker.counts.print().await;
}

struct Attacker {
    attack: Attack,
    to: SocketAddrV4,
    /// A good token without its signature.
    unsigned: String,
    /// How often each connection asks; nothing where it waits for answers.
    every: Option<Duration>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    opened: AtomicU64,
    sent: AtomicU64,
    answered: AtomicU64,
    statuses: Mutex<BTreeMap<u16, u64>>,
}

impl Counts {
    async fn answer(&self, status: u16) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        *self.statuses.lock().await.entry(status).or_default() += 1;
    }

    async fn print(&self) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let report = json!({
            "opened": count(&self.opened),
            "sent": count(&self.sent),
            "answered": count(&self.answered),
            "statuses": *self.statuses.lock().await,
        });
        println!("{report}");
    }
}

impl Attacker {
    /// Attacks over one connection, and over another when it ends.
    async fn go_on(&self) {
        loop {
            if let Ok(stream) = TcpStream::connect(self.to).await {
                self.counts.opened.fetch_add(1, Ordering::Relaxed);
                // However it ends, there is a next one.
                let _ = self.attack_over(stream).await;
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    async fn attack_over(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let (told, answers) = unbounded_channel();
        tokio::select! {
            ended = self.read(reader, told) => ended,
            ended = self.write(writer, answers) => ended,
        }
    }

    /// Counts answers until the connection ends.
    async fn read(&self, mut reader: OwnedReadHalf, told: UnboundedSender<()>) -> io::Result<()> {
        let (mut answers, mut bytes) = (Answers::default(), [0; 4096]);
        loop {
            let count = reader.read(&mut bytes).await?;
            if count == 0 {
                return Ok(());
            }
            answers.push(&bytes[..count]);
            while let Some(answer) = answers.take() {
                self.counts.answer(answer.status).await;
                let _ = told.send(());
            }
        }
    }

    async fn write(&self, mut writer: OwnedWriteHalf, mut answers: UnboundedReceiver<()>) -> io::Result<()> {
        if self.attack == Attack::SlowHeaders {
            writer.write_all(format!("GET {PATH} HTTP/1.1\r\nhost: bench\r\nx-slow: ").as_bytes()).await?;
            loop {
                writer.write_all(b"a").await?;
                self.counts.sent.fetch_add(1, Ordering::Relaxed);
                sleep(BYTE_EVERY).await;
            }
        }
        let mut due = Instant::now();
        loop {
            writer.write_all(self.request().as_bytes()).await?;
            self.counts.sent.fetch_add(1, Ordering::Relaxed);
            if let Some(every) = self.every {
                due += every;
                sleep_until(due).await;
            } else if answers.recv().await.is_none() {
                return Ok(());
            }
        }
    }

    fn request(&self) -> String {
        let headers = match self.attack {
            Attack::Tokens => self.garbage_token(),
            Attack::Headers | Attack::SlowHeaders => many_headers(),
        };
        format!("GET {PATH} HTTP/1.1\r\nhost: bench\r\n{headers}\r\n")
    }

    /// Writes a header with a token that takes a whole verification to refuse: a number of 4,096 bits, less than the
    /// modulus, as signatures are.
    fn garbage_token(&self) -> String {
        let signature: String = (0..674).map(|_| fastrand::alphanumeric()).collect();
        format!("authorization: Bearer {}.AAAAAAAA{signature}A\r\n", self.unsigned)
    }
}

/// Writes as many headers as most servers take, far more, a huge one, or one larger than any server takes.
fn many_headers() -> String {
    match fastrand::u8(0..4) {
        0 => "x-flood: a\r\n".repeat(90),
        1 => "x-flood: a\r\n".repeat(2_000),
        2 => format!("x-flood: {}\r\n", "a".repeat(60 * 1024)),
        _ => format!("x-flood: {}\r\n", "a".repeat(1024 * 1024)),
    }
}
