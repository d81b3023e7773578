//! Large bodies both ways through the gateway and through nginx, in turn. The client and what is behind them are on the
//! other processor, and copy nothing: the kernel sends files (`sendfile(2)`) and drops what arrives.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::SocketFlags;

use crate::answers::Head;
use crate::figures::target;
use crate::files;
use crate::gateway::{address, on_its_processor, write_route};
use crate::load::connect_from;
use crate::processes::{Aside, cpu_seconds, forget_peak, peak, resident};
use crate::rivals::Server;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;
const SIZES: [(&str, u64, usize); 2] = [("1 MiB", MIB, 8), ("1 GiB", GIB, 1)];
const ROUNDS: usize = 3;
/// For how long bodies are sent one after the other in a round; the last one to its end.
const ROUND: Duration = Duration::from_secs(2);
const MOST_GROWTH: u32 = 16 * 1024;

const ROUTE: &str = "body_limit_mib = 2048\ntimeout_seconds = 600";
const LOCATION: &str = "client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;";

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Download,
    Upload,
}

pub(crate) async fn measure() {
    let _aside = Aside::step();
    let directory = tempfile::tempdir().expect("a directory");
    for (_, size, _) in SIZES {
        let file = File::create(directory.path().join(size.to_string())).expect("a file");
        file.set_len(size).expect("a file with nothing in it");
    }
    let behind = files::serve(directory.path());
    let route = write_route(&directory, &[behind], ROUTE).display().to_string();
    let platform = on_its_processor(&[("GATEWAY_ROUTES", &route)]).await;
    let token = platform.token_of("bodies").await;
    let buffering = Server::proxy(&directory, "buffering", behind, LOCATION);
    let streaming =
        Server::proxy(&directory, "streaming", behind, &format!("{LOCATION} proxy_buffering off;"));

    let gateway = platform.process_of("slipway-gateway");
    let sender = |name, url: &str, processes: Vec<u32>| Proxied {
        name,
        to: address(url),
        token: token.clone(),
        files: directory.path(),
        processes,
    };
    let rivals = [
        sender("gateway", platform.gateway(), vec![gateway]),
        sender("nginx, buffering", &buffering.url(), buffering.processes()),
        sender("nginx, without", &streaming.url(), streaming.processes()),
    ];
    // First, while nothing has been buffered by others.
    let growth = [Way::Download, Way::Upload].map(|way| rivals[0].growth(way, gateway));
    for (name, size, connections) in SIZES {
        for way in [Way::Download, Way::Upload] {
            compare(&format!("{name}, {way:?}, {connections} at a time"), &rivals, way, size, connections);
        }
    }
    let [down, up] = growth.map(|growth| f64::from(growth) / 1024.0);
    println!("  {:<32}{down:>8.1} MiB {up:.1} MiB", "the gateway grew at 1 GiB by");
    target("RSS growth <= 16 MiB at 1 GiB", growth.iter().all(|&growth| growth <= MOST_GROWTH));
}

fn compare(what: &str, rivals: &[Proxied<'_>; 3], way: Way, size: u64, connections: usize) {
    let mut sent = [(0, 0.0, 0.0); 3];
    for _ in 0..ROUNDS {
        for (rival, sent) in rivals.iter().zip(&mut sent) {
            let (before, began) = (rival.processor_seconds(), Instant::now());
            sent.0 += rival.round(way, size, connections);
            sent.1 += began.elapsed().as_secs_f64();
            sent.2 += rival.processor_seconds() - before;
        }
    }
    println!("{what:<34}       MiB/s   of its processor");
    let mut rates = [0.0; 3];
    for ((rival, (bodies, seconds, busy)), rate) in rivals.iter().zip(sent).zip(&mut rates) {
        let mebibytes = u32::try_from(bodies * (size / MIB)).expect("a few TiB");
        *rate = f64::from(mebibytes) / seconds;
        println!("  {:<32}{rate:>12.0} {:>9.0} %", rival.name, busy / seconds * 1e2);
    }
    let best = rates[1].max(rates[2]);
    println!("  {:<32}{:>12.2}", "of the faster nginx", rates[0] / best);
    target(">= 0.9 of the faster nginx", rates[0] >= 0.9 * best);
}

/// A proxy that bodies are sent through.
struct Proxied<'a> {
    name: &'static str,
    to: SocketAddrV4,
    token: String,
    files: &'a Path,
    processes: Vec<u32>,
}

impl Proxied<'_> {
    fn processor_seconds(&self) -> f64 {
        self.processes.iter().copied().map(cpu_seconds).sum()
    }

    /// Sends bodies over some connections for a round; returns how many.
    fn round(&self, way: Way, size: u64, connections: usize) -> u64 {
        let began = Instant::now();
        let one = || {
            let (mut stream, mut bodies) = (self.connect(), 0);
            while began.elapsed() < ROUND {
                self.send(&mut stream, way, size, "");
                bodies += 1;
            }
            bodies
        };
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|one| one.join().expect("no panic")).sum()
        })
    }

    /// Sends 1 GiB to a receiver that stops in between; returns by how many KiB a process grew.
    fn growth(&self, way: Way, process: u32) -> u32 {
        let mut stream = self.connect();
        self.send(&mut stream, way, MIB, "");
        forget_peak(process);
        let before = resident(process);
        self.send(&mut stream, way, GIB, "?pause");
        peak(process).saturating_sub(before)
    }

    fn connect(&self) -> TcpStream {
        connect_from(Ipv4Addr::LOCALHOST, self.to, SocketFlags::empty()).expect("the proxy")
    }

    /// Sends one body, to its end. With a query, the receiver pauses.
    fn send(&self, stream: &mut TcpStream, way: Way, size: u64, query: &str) {
        let common =
            format!("{size}{query} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n", self.token);
        match way {
            Way::Download => {
                write!(stream, "GET /bench/{common}\r\n").expect("a request");
                let (head, begun) = read_answer(stream);
                assert_eq!((head.status, head.length), (200, Some(size)), "{}", self.name);
                files::drop_body(stream, size - begun, !query.is_empty()).expect("the whole body");
            }
            Way::Upload => {
                write!(stream, "PUT /bench/upload/{common}content-length: {size}\r\n\r\n")
                    .expect("a request");
                let mut file = File::open(self.files.join(size.to_string())).expect("the file");
                let sent = io::copy(&mut file, stream);
                let (head, _) = read_answer(stream);
                assert_eq!((head.status, sent.ok()), (204, Some(size)), "{}", self.name);
            }
        }
    }
}

/// Reads the head of an answer; returns how much of its body came with it.
fn read_answer(stream: &mut TcpStream) -> (Head, u64) {
    let text = files::read_head(stream).expect("an answer").expect("an answer");
    let head = Head::read(&text).expect("a head");
    let begun = u64::try_from(text.len() - head.size).expect("a length");
    (head, begun)
}
