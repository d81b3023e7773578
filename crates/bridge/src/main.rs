//! `slipway-bridge [--socket=PATH] [--stdin] WORKER [ARGUMENT…]`: the entry point of every function instance.
//!
//! It starts the language worker, dials the function runner, and serves calls on the connections that it opened
//! (the library's `protocol` module says how). It is the instance's process 1: it reaps what is orphaned, passes
//! SIGTERM on, and ends when the runner closes the connection or the worker is gone. Everything runs on one
//! thread.
//!
//! | exit status | why |
//! |---|---|
//! | 0 | the runner closed the connection |
//! | 1 | the worker exited or misbehaved; after a failed call only once the runner had time to ask why |
//! | 64 | wrong arguments |
//! | 69 | the worker could not be started, or the runner not be reached |
//! | 143 | SIGTERM |

mod cpu;
mod frames;
mod journal;
mod memory;
mod pipe;
mod server;
mod supervisor;
mod wire;
mod worker;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use slipway_bridge::protocol::SOCKET_PATH;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::server::Server;
use crate::supervisor::Supervisor;
use crate::worker::Worker;

const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const TERMINATED: u8 = 143;
/// How long the last frames may take to reach the runner once the worker is gone.
const LAST_FRAMES: Duration = Duration::from_secs(5);
/// How long this stays after a call that failed with its worker, while the runner asks why; it kills the container when it
/// has.
const LINGERS: Duration = Duration::from_secs(10);
/// How much of a request hyper holds, in bytes.
const REQUEST_BUFFER_BYTES: usize = 128 * 1024;

fn main() -> ExitCode {
    let Some(arguments) = arguments(std::env::args_os().skip(1)) else {
        eprintln!("usage: slipway-bridge [--socket=PATH] [--stdin] WORKER [ARGUMENT…]");
        return ExitCode::from(USAGE);
    };
    // The function runs as the same user: it may not trace its bridge. Where the kernel refuses, nothing is lost.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("slipway-bridge: {error}");
            ExitCode::from(UNAVAILABLE)
        }
    }
}

struct Arguments {
    socket: PathBuf,
    /// The worker gets its socket as its standard input, where a program finds it that may not take up a descriptor by
    /// its number.
    on_stdin: bool,
    worker: Vec<OsString>,
}

fn arguments(given: impl Iterator<Item = OsString>) -> Option<Arguments> {
    let mut given = given.peekable();
    let socket = given.peek()?.to_str().and_then(|first| first.strip_prefix("--socket=")).map(PathBuf::from);
    if socket.is_some() {
        given.next();
    }
    let on_stdin = given.next_if(|next| next == "--stdin").is_some();
    let worker: Vec<_> = given.collect();
    let socket = socket.unwrap_or_else(|| SOCKET_PATH.into());
    (!worker.is_empty()).then_some(Arguments { socket, on_stdin, worker })
}

async fn run(Arguments { socket, on_stdin, worker: command }: &Arguments) -> io::Result<ExitCode> {
    let worker = Worker::start(command, *on_stdin)
        .map_err(|error| io::Error::other(format!("{} cannot be started: {error}", command[0].display())))?;
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| io::Error::other(format!("{} cannot be reached: {error}", socket.display())))?;

    let (calls, received) = mpsc::channel(1);
    let (dial, dialled) = mpsc::unbounded_channel();
    let server = Rc::new(Server::new(calls, socket.clone(), dial));
    let connections = Connections { server, served: JoinSet::new(), ending: watch::Sender::new(false) };
    let supervisor = Supervisor::new(worker, received);
    LocalSet::new().run_until(attend(stream, connections, dialled, supervisor)).await
}

/// Serves until a connection or the worker is gone: the runner closes all of them, or none.
async fn attend(
    first: UnixStream,
    mut connections: Connections,
    mut dialled: mpsc::UnboundedReceiver<UnixStream>,
    mut supervisor: Supervisor,
) -> io::Result<ExitCode> {
    let mut terminated = signal(SignalKind::terminate())?;
    connections.serve(first);
    let gone = {
        let mut running = pin!(supervisor.run());
        loop {
            tokio::select! {
                Some(stream) = dialled.recv() => connections.serve(stream),
                Some(_) = connections.served.join_next() => return Ok(ExitCode::SUCCESS),
                gone = &mut running => break Some(gone),
                _ = terminated.recv() => break None,
            }
        }
    };
    let Some(gone) = gone else {
        supervisor.terminate().await;
        return Ok(ExitCode::from(TERMINATED));
    };
    eprintln!("slipway-bridge: {gone}");
    let has_failed = supervisor.has_failed_a_call();
    // Kills the worker, and refuses what waits for it.
    drop(supervisor);
    // Late or refused, the frames can no longer be delivered.
    let _ = tokio::time::timeout(LAST_FRAMES, connections.end()).await;
    if has_failed {
        // The kernel's account of what it killed for memory ends with the container.
        let _ = tokio::time::timeout(LINGERS, terminated.recv()).await;
    }
    Ok(ExitCode::FAILURE)
}

/// The connections to the runner, each of which carries one call at a time.
struct Connections {
    server: Rc<Server>,
    served: JoinSet<()>,
    ending: watch::Sender<bool>,
}

impl Connections {
    fn serve(&mut self, stream: UnixStream) {
        let (server, mut ending) = (Rc::clone(&self.server), self.ending.subscribe());
        self.served.spawn_local(async move {
            let service = service_fn(|request| server.answer(request));
            let connection = http1::Builder::new()
                .auto_date_header(false)
                .header_read_timeout(None)
                .max_buf_size(REQUEST_BUFFER_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = pin!(connection);
            tokio::select! {
                _ = &mut connection => {}
                _ = ending.wait_for(|ends| *ends) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }

    /// Lets each come to the end of what it carries.
    async fn end(&mut self) {
        let _ = self.ending.send(true);
        while self.served.join_next().await.is_some() {}
    }
}
