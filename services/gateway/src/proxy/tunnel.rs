//! A WebSocket (RFC 6455), once the service has taken it: frames pass as they are, both ways. The gateway adds a ping where
//! the client has been silent, and closes it when the gateway stops or the client's session ends.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, split};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::frames::Frames;
use super::inward::Plan;
use super::outward::write_switch;
use super::{Exchange, Next};
use crate::server::{Connection, Stream, Worker};
use crate::upstream::{Kept, Turn};

/// What is read at once, of whichever socket: an idle one holds no memory for it.
const PIECE: usize = 64 * 1024;
/// How long a frame may take to end when the socket is to be closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

const PING: &[u8] = &[0x89, 0];
/// RFC 6455, section 7.4.1: the session that it was for has ended.
const POLICY_VIOLATION: u16 = 1008;
/// IANA's registry of close codes: the server restarts, come again.
const SERVICE_RESTART: u16 = 1012;
/// RFC 6455, section 7.4.1: the client does not answer.
const GOING_AWAY: u16 = 1001;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// What passes one way.
#[derive(Default)]
struct Way {
    frames: Frames,
    /// What was read and could not be written yet.
    waiting: Vec<u8>,
    bytes: u64,
}

/// The socket has ended, on whichever side.
struct Ended;

/// Tells the client that the service has taken the socket, and passes frames until it ends.
pub(super) async fn pass<S: Stream>(
    exchange: &mut Exchange,
    connection: &mut Connection<S>,
    plan: &Plan,
    (mut kept, _turn): (Kept, Turn),
    worker: &Worker,
) -> Next {
    exchange.outcome.status = kept.head.status();
    let own = (&exchange.id, &exchange.said);
    write_switch(&mut connection.output, (&kept.head, kept.input.unread()), own);
    kept.input.consume(kept.head.length());
    let (mut inward, mut outward) = (Way::default(), Way::default());
    outward.waiting = std::mem::take(&mut connection.output);
    outward.begin(kept.input.unread());
    inward.begin(connection.input.unread());
    kept.input.clear();
    connection.input.clear();
    let _counted = worker.rules.count_socket();
    let code = run(connection, plan, &mut kept.stream, (&mut inward, &mut outward), worker).await;
    (exchange.outcome.received, exchange.outcome.sent) = (inward.bytes, outward.bytes);
    let Some(code) = code else { return Next::End };
    let [high, low] = code.to_be_bytes();
    connection.output.extend_from_slice(&[0x88, 2, high, low]);
    match connection.write(CLOSE_WITHIN).await {
        Ok(()) => Next::End,
        Err(_) => Next::Gone,
    }
}

/// Passes frames. Returns the code to close the client's side with, where it is the gateway that ends it.
async fn run<S: Stream>(
    connection: &mut Connection<S>,
    plan: &Plan,
    service: &mut TcpStream,
    (inward, outward): (&mut Way, &mut Way),
    worker: &Worker,
) -> Option<u16> {
    let ping_every = worker.rules.socket_ping;
    let mut news = worker.rules.guard.link.news();
    let Connection { io, timer, .. } = connection;
    let (mut from_client, mut to_client) = split(io);
    let (mut from_service, mut to_service) = service.split();
    timer.set(Instant::now() + ping_every);
    let mut was_pinged = false;
    let mut heard = 0;
    let code = {
        let passing = poll_fn(|context| {
            let ended = inward.poll(&mut from_client, &mut to_service, context);
            if ended.is_ready() || outward.poll(&mut from_service, &mut to_client, context).is_ready() {
                return Poll::Ready(None);
            }
            ready!(timer.poll(context));
            timer.set(Instant::now() + ping_every);
            let was_heard = std::mem::replace(&mut heard, inward.bytes) != inward.bytes;
            if was_pinged && !was_heard {
                return Poll::Ready(Some(GOING_AWAY));
            }
            was_pinged = !was_heard;
            if was_pinged && outward.waiting.is_empty() && outward.frames.is_between() {
                outward.waiting.extend_from_slice(PING);
            }
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let revoked = async {
            while !plan.is_revoked(&worker.rules.guard) {
                if news.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        tokio::select! {
            ended = passing => ended,
            () = revoked => Some(POLICY_VIOLATION),
            () = worker.stopping.cancelled() => Some(SERVICE_RESTART),
        }
    };
    // Between two frames: a close in the middle of one would be taken for a part of it.
    let ending = poll_fn(|context| {
        while !(outward.frames.is_between() && outward.waiting.is_empty()) {
            if ready!(outward.poll(&mut from_service, &mut to_client, context)).is_err() {
                return Poll::Ready(());
            }
        }
        Poll::Ready(())
    });
    code?;
    let is_between = tokio::time::timeout(CLOSE_WITHIN, ending).await.is_ok();
    code.filter(|_| is_between)
}

impl Way {
    /// Takes what came together with the handshake.
    fn begin(&mut self, bytes: &[u8]) {
        self.frames.take(bytes);
        self.bytes += bytes.len() as u64;
        self.waiting.extend_from_slice(bytes);
    }

    /// Passes on what there is. It is done when either side has ended.
    fn poll<R, W>(&mut self, from: &mut R, to: &mut W, context: &mut Context<'_>) -> Poll<Result<(), Ended>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while !self.waiting.is_empty() {
                match ready!(Pin::new(&mut *to).poll_write(context, &self.waiting)) {
                    Ok(count @ 1..) => drop(self.waiting.drain(..count)),
                    _ => return Poll::Ready(Err(Ended)),
                }
                if self.waiting.is_empty() {
                    self.waiting = Vec::new();
                }
            }
            if ready!(Pin::new(&mut *to).poll_flush(context)).is_err() {
                return Poll::Ready(Err(Ended));
            }
            if !matches!(ready!(self.poll_read(from, to, context)), Ok(1..)) {
                return Poll::Ready(Err(Ended));
            }
        }
    }

    /// Reads once and writes it at once, as far as it is taken.
    fn poll_read<R, W>(
        &mut self,
        from: &mut R,
        to: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(from).poll_read(context, &mut buffer))?;
            let bytes = buffer.filled();
            self.frames.take(bytes);
            self.bytes += bytes.len() as u64;
            let written = match Pin::new(to).poll_write(context, bytes) {
                Poll::Ready(written) => written?,
                Poll::Pending => 0,
            };
            self.waiting.extend_from_slice(&bytes[written..]);
            Poll::Ready(Ok(bytes.len()))
        })
    }
}
