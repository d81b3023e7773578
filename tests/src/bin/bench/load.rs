//! Requests at a constant rate, whatever becomes of them, from one thread: one that is due while all connections wait for
//! answers counts from when it was due.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::answers::{Answer, Answers};

/// After so long without an answer, one is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked, from where, and how often.
pub(crate) struct Load {
    pub(crate) from: Ipv4Addr,
    pub(crate) to: SocketAddrV4,
    pub(crate) request: String,
    pub(crate) connections: usize,
    /// Requests a second of all connections together.
    pub(crate) rate: f64,
}

/// What came of a request.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    /// When it was due, since the start of the load.
    pub(crate) due: Duration,
    pub(crate) took: Duration,
    /// Nothing where the connection failed.
    pub(crate) status: Option<u16>,
}

impl Asked {
    pub(crate) fn is_good(&self) -> bool {
        self.status == Some(200)
    }
}

impl Load {
    /// Asks from `start` on for so long. Blocks until the last answer.
    pub(crate) fn run(&self, start: Instant, time: Duration) -> Vec<Asked> {
        let every = Duration::from_secs_f64(1.0 / self.rate);
        let (mut due, mut last_full) = (Duration::ZERO, Duration::ZERO);
        let (mut idle, mut calls, mut asked) = (Vec::new(), Vec::<Call>::new(), Vec::new());
        while due < time || !calls.is_empty() {
            let now = start.elapsed();
            while due < time && due <= now && calls.len() < self.connections {
                // That this loop comes late is not the server's fault.
                let since = if due < last_full { due } else { start.elapsed() };
                // After its time, what the answers before have kept from being asked counts as not answered.
                let is_over = now > time + PATIENCE;
                let call = if is_over { None } else { self.begin(idle.pop(), due, since).ok() };
                match call {
                    Some(call) => calls.push(call),
                    None => asked.push(Asked { due, took: now.saturating_sub(since), status: None }),
                }
                due += every;
            }
            let is_full = calls.len() == self.connections;
            let next = if due < time && !is_full { due } else { start.elapsed() + PATIENCE };
            wait(&mut calls, self.request.len(), next.saturating_sub(start.elapsed()));
            if is_full {
                last_full = start.elapsed();
            }
            for mut call in std::mem::take(&mut calls) {
                let answer = call.go_on(self.request.as_bytes());
                let took = start.elapsed().saturating_sub(call.since);
                match answer {
                    Ok(None) if took < PATIENCE => calls.push(call),
                    Ok(None) | Err(_) => asked.push(Asked { due: call.due, took, status: None }),
                    Ok(Some(answer)) => {
                        asked.push(Asked { due: call.due, took, status: Some(answer.status) });
                        if !answer.ends {
                            idle.push(call.connection);
                        }
                    }
                }
            }
        }
        asked
    }

    /// Sends a request, over a connection of its own where it is given none.
    fn begin(&self, idle: Option<Connection>, due: Duration, since: Duration) -> io::Result<Call> {
        let connection = idle.map_or_else(|| Connection::open(self.from, self.to), Ok)?;
        let mut call = Call { connection, due, since, sent: 0, is_ready: false };
        call.send(self.request.as_bytes())?;
        Ok(call)
    }
}

/// A request that is under way.
struct Call {
    connection: Connection,
    due: Duration,
    since: Duration,
    /// How many bytes of it are sent.
    sent: usize,
    is_ready: bool,
}

impl Call {
    /// Writes what can be written; tells whether that is all.
    fn send(&mut self, request: &[u8]) -> io::Result<bool> {
        while self.sent < request.len() {
            match self.connection.stream.write(&request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(fault) if is_not_yet(&fault) => return Ok(false),
                Err(fault) => return Err(fault),
            }
        }
        Ok(true)
    }

    /// Writes and reads what can be; returns the answer once it is there whole.
    fn go_on(&mut self, request: &[u8]) -> io::Result<Option<Answer>> {
        if self.is_ready && self.send(request)? { self.connection.read() } else { Ok(None) }
    }
}

/// Waits until a call of so many bytes can go on, at most so long.
fn wait(calls: &mut [Call], size: usize, time: Duration) {
    let flags = |call: &Call| if call.sent < size { PollFlags::OUT } else { PollFlags::IN };
    let mut polled: Vec<_> =
        calls.iter().map(|call| PollFd::new(&call.connection.stream, flags(call))).collect();
    let time = Timespec::try_from(time).expect("a short time");
    poll(&mut polled, Some(&time)).expect("connections can be polled");
    let ready: Vec<bool> = polled.iter().map(|polled| !polled.revents().is_empty()).collect();
    for (call, is_ready) in calls.iter_mut().zip(ready) {
        call.is_ready = is_ready;
    }
}

struct Connection {
    stream: TcpStream,
    answers: Answers,
}

impl Connection {
    fn open(from: Ipv4Addr, to: SocketAddrV4) -> io::Result<Self> {
        let stream = connect_from(from, to, SocketFlags::NONBLOCK)?;
        Ok(Self { stream, answers: Answers::default() })
    }

    /// Reads what is there; returns an answer that is there whole.
    fn read(&mut self) -> io::Result<Option<Answer>> {
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.answers.push(&bytes[..count]),
                Err(fault) if is_not_yet(&fault) => return Ok(None),
                Err(fault) => return Err(fault),
            }
            if let Some(answer) = self.answers.take() {
                return Ok(Some(answer));
            }
        }
    }
}

/// Tells whether a socket has nothing to give yet, or is not connected yet.
fn is_not_yet(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

/// Connects from an address of this machine; with [`SocketFlags::NONBLOCK`], without waiting for it.
pub(crate) fn connect_from(from: Ipv4Addr, to: SocketAddrV4, flags: SocketFlags) -> io::Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC | flags, None)?;
    bind(&socket, &SocketAddrV4::new(from, 0))?;
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(fault) => return Err(fault.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Writes a GET of somebody who is signed in.
pub(crate) fn get(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n")
}
