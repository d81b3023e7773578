//! The gateway's own server: it reads requests straight from the connection, one reading for all (ADR 28).
//!
//! Each worker is a thread with connections of its own, to clients and to services: a request stays on its thread from the
//! first byte to the last.

mod connection;
mod input;
mod timer;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use connection::{Connection, NoRequest, Stream, after_others, poll_gone};
pub(crate) use input::Input;
pub use tls::Tls;

use crate::proxy::{self, Next};
use crate::rules::Rules;
use crate::upstream::Pool;

/// How long accepting pauses where there is nothing to accept with, such as open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// After so long, and up to as much again by chance, the next request is read of a client that had asked too often. It is told
/// to wait a second or more. Without the chance, connections of one flood would all go on at the same moment.
const LATER: Duration = Duration::from_millis(100);
/// How often connections to services that idled for long are closed.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Connections that were accepted and wait for a worker: where it is full, accepting waits.
const WAITING: usize = 1024;

/// What a worker's connections share.
pub(crate) struct Worker {
    pub(crate) rules: Arc<Rules>,
    pub(crate) pool: Pool,
    /// Is cancelled when the gateway stops: what is being answered is still answered, and nothing else.
    pub(crate) stopping: CancellationToken,
    connections: Arc<AtomicUsize>,
    last_ended: Notify,
}

/// A connection, and where it comes from.
type Accepted = (std::net::TcpStream, SocketAddr);

/// Accepts connections. The first worker's thread does: one of its own would compete with the workers' for processors.
struct Acceptor {
    listener: std::net::TcpListener,
    /// Where connections go, and how many each worker has.
    workers: Vec<(Sender<Accepted>, Arc<AtomicUsize>)>,
}

/// The threads that serve.
pub(crate) struct Server {
    workers: Vec<JoinHandle<()>>,
    failed: Receiver<io::Error>,
}

impl Server {
    /// Starts the threads. They serve until `stopping` is cancelled, and then for at most `drain`.
    pub(crate) fn start(
        listener: std::net::TcpListener,
        workers: usize,
        drain: Duration,
        rules: &Arc<Rules>,
        stopping: &CancellationToken,
    ) -> io::Result<Self> {
        let (failing, failed) = channel(1);
        let ways: Vec<_> = (0..workers).map(|_| (channel(WAITING), Arc::<AtomicUsize>::default())).collect();
        let ends =
            ways.iter().map(|((accepted, _), connections)| (accepted.clone(), Arc::clone(connections)));
        let mut acceptor = Some(Acceptor { listener, workers: ends.collect() });
        let mut threads = Vec::with_capacity(workers);
        for (index, ((_, accepting), connections)) in ways.into_iter().enumerate() {
            let acceptor = acceptor.take();
            let (rules, stopping, failing) = (Arc::clone(rules), stopping.clone(), failing.clone());
            let worker = move || Worker {
                rules,
                pool: Pool::default(),
                stopping,
                connections,
                last_ended: Notify::new(),
            };
            let serve = move || {
                if let Err(fault) = run(worker(), acceptor, accepting, drain) {
                    let _ = failing.try_send(fault);
                }
            };
            threads.push(std::thread::Builder::new().name(format!("gateway-{index}")).spawn(serve)?);
        }
        Ok(Self { workers: threads, failed })
    }

    /// Waits until all threads have ended. Returns early where one fails.
    pub(crate) async fn ended(mut self) -> io::Result<()> {
        // The channel closes when the last thread ends.
        if let Some(fault) = self.failed.recv().await {
            return Err(fault);
        }
        let join = move || self.workers.into_iter().all(|worker| worker.join().is_ok());
        match tokio::task::spawn_blocking(join).await {
            Ok(true) => Ok(()),
            _ => Err(io::Error::other("a thread of the server panicked")),
        }
    }
}

fn run(
    worker: Worker,
    acceptor: Option<Acceptor>,
    mut accepted: Receiver<Accepted>,
    drain: Duration,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let worker = Rc::new(worker);
    LocalSet::new().block_on(&runtime, async {
        if let Some(Acceptor { listener, workers }) = acceptor {
            let listener = TcpListener::from_std(listener)?;
            let stopping = worker.stopping.clone();
            spawn_local(async move { stopping.run_until_cancelled(accept(&listener, &workers)).await });
        }
        let sweeping = spawn_local({
            let worker = Rc::clone(&worker);
            async move {
                loop {
                    sleep(SWEEP_EVERY).await;
                    worker.pool.sweep();
                }
            }
        });
        // It ends once nothing is accepted any more.
        while let Some((stream, peer)) = accepted.recv().await {
            let counted = Counted(Rc::clone(&worker));
            let worker = Rc::clone(&worker);
            spawn_local(async move {
                if let Ok(stream) = TcpStream::from_std(stream) {
                    serve(stream, peer, &worker).await;
                }
                drop(counted);
            });
        }
        let _ = timeout(drain, worker.ended()).await;
        sweeping.abort();
        Ok(())
    })
}

/// Accepts connections, for as long as it is let, and gives each to the worker that has the fewest.
async fn accept(listener: &TcpListener, workers: &[(Sender<Accepted>, Arc<AtomicUsize>)]) {
    loop {
        let accepted = match listener.accept().await {
            Ok((stream, peer)) => stream.into_std().map(|stream| (stream, peer)),
            Err(fault) => Err(fault),
        };
        match accepted {
            Ok(accepted) => {
                let fewest = workers.iter().min_by_key(|(_, count)| count.load(Ordering::Relaxed));
                if let Some((worker, count)) = fewest {
                    count.fetch_add(1, Ordering::Relaxed);
                    let _ = worker.send(accepted).await;
                }
            }
            Err(fault) => {
                tracing::warn!(error = %fault, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn serve(stream: TcpStream, peer: SocketAddr, worker: &Worker) {
    // Answers leave at once; where it cannot be set they leave a little later.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &worker.rules.tls else { return serve_requests(stream, peer, worker).await };
    match timeout(HANDSHAKE_WITHIN, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => Box::pin(serve_requests(stream, peer, worker)).await,
        Ok(Err(fault)) => tracing::debug!(error = %fault, "no TLS came about"),
        Err(_) => tracing::debug!("no TLS came about in time"),
    }
}

async fn serve_requests<S: Stream>(stream: S, peer: SocketAddr, worker: &Worker) {
    let mut connection = Connection::new(stream, peer.ip().to_canonical());
    let mut stopping = pin!(worker.stopping.cancelled());
    loop {
        let next = match connection.read_head(stopping.as_mut()).await {
            Ok(body) => proxy::answer(&mut connection, body, worker).await,
            Err(NoRequest::Over) => Next::End,
            Err(fault) => proxy::refuse(&mut connection, fault, worker).await,
        };
        match next {
            // Whoever sends requests without waiting for answers has each in turn with other connections'.
            Next::Request if !connection.input.is_empty() => yield_now().await,
            Next::Request => {}
            Next::Later => {
                tokio::select! {
                    () = sleep(LATER.mul_f64(1.0 + fastrand::f64())) => {}
                    () = stopping.as_mut() => {}
                }
            }
            Next::End => return connection.end().await,
            Next::Gone => return,
        }
    }
}

/// A connection that the acceptor counted, until it is dropped.
struct Counted(Rc<Worker>);

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.last_ended.notify_one();
        }
    }
}

impl Worker {
    /// Is done once there is no connection.
    async fn ended(&self) {
        while self.connections.load(Ordering::Relaxed) > 0 {
            self.last_ended.notified().await;
        }
    }
}
