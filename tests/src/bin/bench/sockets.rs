//! Eight thousand plain WebSocket connections that say nothing, through nginx and through the gateway, one after the other;
//! then one small message to all of them. Clients and what is behind are on the other processor.

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{BufReader, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::figures::target;
use crate::gateway::{address, on_its_processor, write_route};
use crate::processes::{Aside, resident};
use crate::rivals::Server;
use crate::websocket::{self, Socket, TEXT};

const SOCKETS: u32 = 8_000;
/// So many are opened at a time.
const AT_ONCE: u32 = 50;
/// The bench has both ends of each, and the proxy two.
const FILES: u64 = 2 * SOCKETS as u64 + 500;
const SETTLED: Duration = Duration::from_secs(3);
const BROADCASTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);
const MOST_KIBIBYTES: f64 = 20.0;
const MOST_TIME: Duration = Duration::from_secs(1);
const MESSAGE: &[u8] = br#"{"event":"bench"}"#;

const LOCATION: &str = "proxy_set_header upgrade $http_upgrade;
            proxy_set_header connection upgrade;
            proxy_read_timeout 600s;";

pub(crate) async fn measure() {
    allow_files();
    let _aside = Aside::step();
    let directory = tempfile::tempdir().expect("a directory");
    let (behind, behind_nginx) = (Behind::start().await, Behind::start().await);
    let route = write_route(&directory, &[behind.port], "websocket = true").display().to_string();
    let platform = on_its_processor(&[("GATEWAY_ROUTES", &route)]).await;
    let token = platform.token_of("sockets").await;
    let nginx = Server::proxy(&directory, "nginx", behind_nginx.port, LOCATION);

    println!("{SOCKETS} WebSockets                          KiB each   slowest of {BROADCASTS} broadcasts");
    behind_nginx.measure("nginx, no checks", address(&nginx.url()), &token, &nginx.processes()).await;
    let gateway = [platform.process_of("slipway-gateway")];
    let (each, slowest) = behind.measure("gateway", address(platform.gateway()), &token, &gateway).await;
    target("<= 20 KiB of the gateway each", each <= MOST_KIBIBYTES);
    target("a broadcast reaches all within 1 s", slowest <= MOST_TIME);
}

/// Lets this process, and what it starts, open as many files as it may.
fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        most >= FILES,
        "{FILES} open files are needed, and {most} allowed: raise the hard limit (`ulimit -Hn`)"
    );
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("more open files");
}

type Writer = Arc<Mutex<WriteHalf<Socket>>>;

/// What is behind a proxy: it takes sockets, and tells all of them something at a time.
struct Behind {
    port: u16,
    writers: UnboundedReceiver<Writer>,
    /// Takes the sockets with it.
    _accepting: JoinSet<()>,
}

impl Behind {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let (told, writers) = unbounded_channel();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept_all(listener, told));
        Self { port, writers, _accepting: accepting }
    }

    /// Opens sockets through a proxy, prints and returns the proxy's memory for each, in KiB, and how long the slowest
    /// broadcast took.
    async fn measure(
        mut self,
        name: &str,
        proxy: SocketAddrV4,
        token: &str,
        processes: &[u32],
    ) -> (f64, Duration) {
        let used = || -> u32 { processes.iter().copied().map(resident).sum() };
        let before = used();
        let (told, mut heard) = unbounded_channel();
        let mut clients = JoinSet::new();
        for _ in 0..SOCKETS / AT_ONCE {
            let opened = (0..AT_ONCE).map(|_| websocket::open(proxy, "/bench", token));
            for socket in join_all(opened).await {
                let socket = socket.unwrap_or_else(|fault| panic!("{name}: {fault}"));
                clients.spawn(listen(socket, told.clone()));
            }
        }
        let mut writers = Vec::new();
        while writers.len() < clients.len() {
            writers.push(self.writers.recv().await.expect("sockets are taken"));
        }
        tokio::time::sleep(SETTLED).await;
        let each = f64::from(used().saturating_sub(before)) / f64::from(SOCKETS);
        let mut slowest = Duration::ZERO;
        for _ in 0..BROADCASTS {
            slowest = slowest.max(broadcast(&writers, &mut heard).await);
        }
        println!("  {name:<32}{each:>12.1} {:>12.0} ms", slowest.as_secs_f64() * 1e3);
        (each, slowest)
    }
}

/// Tells all sockets something; returns how long it took until the last client had it.
async fn broadcast(writers: &[Writer], heard: &mut UnboundedReceiver<io::Result<Instant>>) -> Duration {
    let began = Instant::now();
    for writer in writers {
        let mut writer = writer.lock().await;
        websocket::write(&mut *writer, TEXT, MESSAGE, false).await.expect("a socket stays open");
    }
    let mut last = began;
    for number in 0..writers.len() {
        let one = tokio::time::timeout(PATIENCE, heard.recv()).await;
        let one = one.unwrap_or_else(|_| panic!("{number} of {} clients hear it", writers.len()));
        last = last.max(one.expect("clients listen").expect("a socket stays open"));
    }
    last - began
}

/// Says when each message came, and at last why no more do.
async fn listen(mut socket: Socket, told: UnboundedSender<io::Result<Instant>>) {
    let fault = loop {
        let frame = match websocket::read(&mut socket).await {
            Ok(frame) if websocket::ends(&frame) => break io::ErrorKind::ConnectionAborted.into(),
            Ok(frame) => frame,
            Err(fault) => break fault,
        };
        if let Some(answer) = websocket::answer_to(&frame) {
            if let Err(fault) = websocket::write(&mut socket, answer, &frame.payload, true).await {
                break fault;
            }
        } else if frame.payload == MESSAGE {
            let _ = told.send(Ok(Instant::now()));
        }
    };
    let _ = told.send(Err(fault));
}

async fn accept_all(listener: TcpListener, told: UnboundedSender<Writer>) {
    let mut sockets = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        sockets.spawn(hold(stream, told.clone()));
        while sockets.try_join_next().is_some() {}
    }
}

/// Keeps a socket open, and answers pings.
async fn hold(stream: TcpStream, told: UnboundedSender<Writer>) -> io::Result<()> {
    let (mut reader, writer): (ReadHalf<BufReader<TcpStream>>, _) = split(websocket::accept(stream).await?);
    let writer = Arc::new(Mutex::new(writer));
    let _ = told.send(Arc::clone(&writer));
    loop {
        let frame = websocket::read(&mut reader).await?;
        if let Some(answer) = websocket::answer_to(&frame) {
            websocket::write(&mut *writer.lock().await, answer, &frame.payload, false).await?;
        }
    }
}
