//! Requests at a constant rate, whatever becomes of them: one that is due while the answers before are late counts from
//! when it was due.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::answers::{Answer, Answers};

/// After so long without an answer, one is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked, from where, and how often.
pub(crate) struct Load {
    pub(crate) from: Ipv4Addr,
    pub(crate) to: SocketAddrV4,
    pub(crate) request: String,
    pub(crate) connections: u32,
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
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..self.connections)
                .map(|number| scope.spawn(move || self.call(number, start, time)))
                .collect();
            callers.into_iter().flat_map(|caller| caller.join().expect("no panic")).collect()
        })
    }

    /// Asks over one connection, in its turn.
    fn call(&self, number: u32, start: Instant, time: Duration) -> Vec<Asked> {
        let every = Duration::from_secs_f64(f64::from(self.connections) / self.rate);
        let mut due = Duration::from_secs_f64(f64::from(number) / self.rate);
        let (mut connection, mut asked) = (None, Vec::new());
        while due < time {
            let early = due.saturating_sub(start.elapsed());
            // That the clock wakes late is not the server's fault.
            let since = if early.is_zero() { start + due } else { sleep(early) };
            // After its time, what the answers before have kept from being asked counts as not answered.
            let is_over = start.elapsed() > time + PATIENCE;
            let status = if is_over { None } else { self.ask(&mut connection).ok() };
            asked.push(Asked { due, took: since.elapsed(), status });
            due += every;
        }
        asked
    }

    fn ask(&self, connection: &mut Option<Connection>) -> io::Result<u16> {
        let mut open = match connection.take() {
            Some(open) => open,
            None => Connection::open(self.from, self.to)?,
        };
        let answer = open.ask(&self.request)?;
        if !answer.ends {
            *connection = Some(open);
        }
        Ok(answer.status)
    }
}

fn sleep(time: Duration) -> Instant {
    std::thread::sleep(time);
    Instant::now()
}

struct Connection {
    stream: TcpStream,
    answers: Answers,
}

impl Connection {
    fn open(from: Ipv4Addr, to: SocketAddrV4) -> io::Result<Self> {
        let stream = connect_from(from, to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, answers: Answers::default() })
    }

    fn ask(&mut self, request: &str) -> io::Result<Answer> {
        self.stream.write_all(request.as_bytes())?;
        let mut bytes = [0; 4096];
        loop {
            if let Some(answer) = self.answers.take() {
                return Ok(answer);
            }
            match self.stream.read(&mut bytes)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.answers.push(&bytes[..count]),
            }
        }
    }
}

/// Connects from an address of this machine.
pub(crate) fn connect_from(from: Ipv4Addr, to: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrV4::new(from, 0))?;
    connect(&socket, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Writes a GET of somebody who is signed in.
pub(crate) fn get(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n")
}
