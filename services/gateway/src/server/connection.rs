//! A client's connection: one request after the other is read from it, and each is answered before the next is read.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use slipway_http1::{Body, Chunks, HeadFault, MAX_HEAD, RequestHead};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::input::Input;
use super::timer::Timer;

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Within this the head of a request is whole, from its first byte on; that of the first from the connection's begin.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take to close its end after this one was closed, and how much it may still send.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024 * 1024;
/// What is kept of what a client sends while a request of its is answered: the body of that, and next requests.
const READ_AHEAD: usize = 128 * 1024;
/// What is read and dropped of a body that nobody wants, so that the connection can be kept.
const DROPPED: u64 = 64 * 1024;
/// Memory that an idle connection keeps.
const KEPT: usize = 8 * 1024;

/// What carries requests: a socket, be it with TLS around it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Stream for T {}

/// A connection, with what was read from it and what will be written.
pub(crate) struct Connection<S> {
    pub(crate) io: S,
    pub(crate) input: Input,
    pub(crate) output: Vec<u8>,
    pub(crate) timer: Timer,
    /// The request that is being answered.
    pub(crate) head: RequestHead,
    pub(crate) peer: IpAddr,
    is_first: bool,
}

/// Says why there is no next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRequest {
    /// The connection has ended, or nobody needs it any more.
    Over,
    /// What came cannot be answered but with a refusal.
    Refused(HeadFault),
    /// It did not come in time.
    Late,
}

impl<S: Stream> Connection<S> {
    pub(crate) fn new(io: S, peer: IpAddr) -> Self {
        Self {
            io,
            input: Input::default(),
            output: Vec::new(),
            timer: Timer::new(HEAD_WITHIN),
            head: RequestHead::default(),
            peer,
            is_first: true,
        }
    }

    /// Reads the head of the next request; returns what follows it. An idle connection is over once `stopping` is done.
    pub(crate) async fn read_head(
        &mut self,
        mut stopping: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Body, NoRequest> {
        self.head.clear();
        self.input.shrink_to(KEPT);
        let mut has_begun = std::mem::take(&mut self.is_first);
        self.timer.set(Instant::now() + if has_begun { HEAD_WITHIN } else { KEEP_ALIVE });
        poll_fn(|context| {
            loop {
                if let Some(body) = self.head.read(self.input.unread_mut()).map_err(NoRequest::Refused)? {
                    return Poll::Ready(Ok(body));
                }
                let is_idle = !self.head.has_begun(self.input.unread());
                if !has_begun && !is_idle {
                    has_begun = true;
                    self.timer.set(Instant::now() + HEAD_WITHIN);
                }
                match self.input.poll_fill(&mut self.io, MAX_HEAD + 1, context) {
                    Poll::Ready(Ok(1..)) => continue,
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(NoRequest::Over)),
                    Poll::Pending => {}
                }
                if self.timer.poll(context).is_ready() {
                    let fault = if is_idle { NoRequest::Over } else { NoRequest::Late };
                    return Poll::Ready(Err(fault));
                }
                if is_idle && stopping.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(NoRequest::Over));
                }
                return Poll::Pending;
            }
        })
        .await
    }

    /// Writes what is to be written. It fails where the client takes none of it for so long.
    pub(crate) async fn write(&mut self, stall: Duration) -> io::Result<()> {
        after_others().await;
        let mut written = 0;
        let mut is_waiting = false;
        let outcome = poll_fn(|context| {
            while written < self.output.len() {
                match Pin::new(&mut self.io).poll_write(context, &self.output[written..]) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(count)) => {
                        written += count;
                        is_waiting = false;
                    }
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                    Poll::Pending => {
                        if !is_waiting {
                            is_waiting = true;
                            self.timer.set(Instant::now() + stall);
                        }
                        ready!(self.timer.poll(context));
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                }
            }
            Pin::new(&mut self.io).poll_flush(context)
        })
        .await;
        self.output.clear();
        self.output.shrink_to(KEPT);
        outcome
    }

    /// Looks whether the client has gone. What it sends meanwhile is kept for later, as far as there is room for it.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        poll_gone(&mut self.input, &mut self.io, context)
    }

    /// Reads a body of so many bytes, to the end.
    pub(crate) async fn read_whole(&mut self, length: usize) -> io::Result<()> {
        while self.input.unread().len() < length {
            if self.input.fill(&mut self.io, length).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Reads and drops a body that nobody wants. Tells whether the connection can be kept: where it is longer than is
    /// worth it, or does not come, it cannot.
    pub(crate) async fn drop_body(&mut self, body: Body) -> bool {
        let dropping = async {
            match body {
                Body::None | Body::Opaque => true,
                Body::Sized(length) => self.drop_bytes(length).await,
                Body::Chunked => self.drop_chunks().await,
            }
        };
        timeout(LINGER, dropping).await.unwrap_or(false)
    }

    async fn drop_bytes(&mut self, length: u64) -> bool {
        let Some(mut left) = usize::try_from(length).ok().filter(|_| length <= DROPPED) else { return false };
        loop {
            let count = left.min(self.input.unread().len());
            self.input.consume(count);
            left -= count;
            if left == 0 {
                return true;
            }
            if !matches!(self.input.fill(&mut self.io, READ_AHEAD).await, Ok(1..)) {
                return false;
            }
        }
    }

    async fn drop_chunks(&mut self) -> bool {
        let (mut chunks, mut dropped) = (Chunks::default(), 0);
        loop {
            let count = chunks.take(self.input.unread());
            self.input.consume(count);
            dropped += count as u64;
            match chunks.is_over() {
                Ok(true) => return true,
                Ok(false) if dropped <= DROPPED => {}
                _ => return false,
            }
            if !matches!(self.input.fill(&mut self.io, READ_AHEAD).await, Ok(1..)) {
                return false;
            }
        }
    }

    /// Ends the connection in such a way that the client can read the last answer: closing it with something unread
    /// would take that from it (RFC 9112, section 9.6).
    pub(crate) async fn end(mut self) {
        let ending = async {
            if self.io.shutdown().await.is_err() {
                return;
            }
            let mut dropped = self.input.unread().len();
            while dropped < LINGER_BYTES {
                let unread = self.input.unread().len();
                self.input.consume(unread);
                match self.input.fill(&mut self.io, READ_AHEAD).await {
                    Ok(count @ 1..) => dropped += count,
                    _ => return,
                }
            }
        };
        let _ = timeout(LINGER, ending).await;
    }
}

/// Looks whether the other side has gone, as [`Connection::poll_gone`] does.
pub(crate) fn poll_gone<R: AsyncRead + Unpin>(
    input: &mut Input,
    io: &mut R,
    context: &mut Context<'_>,
) -> Poll<()> {
    while input.unread().len() < READ_AHEAD {
        if !matches!(ready!(input.poll_fill(io, READ_AHEAD, context)), Ok(1..)) {
            return Poll::Ready(());
        }
    }
    Poll::Pending
}

/// Lets the connections that are ready come first. What they all write leaves together then, and wakes who reads it once.
pub(crate) async fn after_others() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
