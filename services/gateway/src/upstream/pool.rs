use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::time::Duration;

use slipway_http1::AnswerHead;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::replicas::{ReplicaId, Turn};
use crate::server::Input;

const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Shorter than the services keep an idle connection, so that it is this side that ends one.
const IDLE: Duration = Duration::from_secs(30);
/// So shortly after an answer no service ends a connection for having idled.
const FRESH: Duration = Duration::from_secs(1);
/// Memory that an idle connection keeps.
const KEPT: usize = 8 * 1024;
/// The most idle connections to one replica.
const MOST_IDLE: usize = 256;

/// A worker's idle connections to services.
#[derive(Default)]
pub(crate) struct Pool(RefCell<HashMap<ReplicaId, Vec<(Instant, Kept)>>>);

/// A connection to a replica, between two requests or with one under way.
pub(crate) struct Kept {
    pub(crate) stream: TcpStream,
    pub(crate) input: Input,
    /// The answer that is being read.
    pub(crate) head: AnswerHead,
    /// Whether a request has gone over it before: the service may have closed it since.
    pub(crate) is_used: bool,
}

impl Pool {
    /// Takes a connection that idles, if there is one.
    pub(crate) fn take(&self, turn: &Turn) -> Option<Kept> {
        self.take_within(turn, IDLE)
    }

    /// Takes one for a request that cannot be sent twice: it will not be found closed when part of that is gone.
    pub(crate) fn take_fresh(&self, turn: &Turn) -> Option<Kept> {
        self.take_within(turn, FRESH)
    }

    /// Takes the connection that was used last, if that is not as long ago.
    fn take_within(&self, turn: &Turn, within: Duration) -> Option<Kept> {
        let mut pool = self.0.borrow_mut();
        let idle = pool.get_mut(&turn.replica())?;
        while let Some((_, kept)) = idle.pop_if(|(since, _)| since.elapsed() < within) {
            if kept.is_open() {
                return Some(kept);
            }
        }
        None
    }

    /// Makes a new one.
    pub(crate) async fn connect(turn: &Turn) -> io::Result<Kept> {
        let authority = turn.authority();
        let address = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
        let stream = timeout(CONNECT_WITHIN, TcpStream::connect(address))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection within 2 s"))??;
        stream.set_nodelay(true)?;
        Ok(Kept { stream, input: Input::default(), head: AnswerHead::default(), is_used: false })
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, replica: ReplicaId, mut kept: Kept) {
        kept.is_used = true;
        kept.input.shrink_to(KEPT);
        let mut pool = self.0.borrow_mut();
        let idle = pool.entry(replica).or_default();
        if idle.len() < MOST_IDLE {
            idle.push((Instant::now(), kept));
        }
    }

    /// Closes what has idled for long.
    pub(crate) fn sweep(&self) {
        self.0.borrow_mut().retain(|_, idle| {
            idle.retain(|(since, _)| since.elapsed() < IDLE);
            !idle.is_empty()
        });
    }
}

impl Kept {
    /// Tells whether the service has left it open, and said nothing that nobody asked for.
    fn is_open(&self) -> bool {
        let is_silent =
            |read: io::Result<usize>| read.is_err_and(|fault| fault.kind() == io::ErrorKind::WouldBlock);
        self.input.is_empty() && is_silent(self.stream.try_read(&mut [0]))
    }
}
