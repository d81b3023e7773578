//! A request whose body is longer than is kept: it goes to the service as it comes, while the answer may already come back.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::Write as _;
use std::pin::pin;

use slipway_http1::{Body, Chunks, HeadFault};
use slipway_kernel::ErrorCode;
use slipway_web::Problem;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::{Instant, sleep_until, timeout};

use super::ask::{AskFault, note, poll_head};
use super::inward::Plan;
use super::outward::Closing;
use super::relay::{self, Patience, is_reusable, pass_body, write_chunk};
use super::{Exchange, Next, PIECE_WITHIN, SWITCHING_PROTOCOLS, problems};
use crate::server::{Connection, Input, Stream, Worker, poll_gone};
use crate::upstream::{Kept, Pool, Turn};

/// What is read at once of the body.
const PIECE: usize = 256 * 1024;

/// Says why a body cannot be passed on to its end.
#[derive(Debug, Clone, Copy)]
enum BodyFault {
    /// It is larger than the route takes.
    TooLarge,
    /// Its next piece did not come in time.
    Late,
    /// It is no body.
    Malformed,
    /// The client has gone.
    Gone,
}

/// How far a body has been passed on.
struct Progress {
    /// Whether the service has all of it.
    is_whole: Cell<bool>,
    /// When it last took some.
    at: Cell<Instant>,
    bytes: Cell<u64>,
}

/// What asking came to, if not to an answer.
enum Fault {
    Ask(AskFault),
    Body(BodyFault),
}

/// Passes a request on and its answer back. It is asked once: what is gone cannot be sent again.
pub(super) async fn pass<S: Stream>(
    exchange: &mut Exchange,
    connection: &mut Connection<S>,
    plan: &Plan,
    body: Body,
    worker: &Worker,
) -> Next {
    let (mut kept, turn) = match connect(plan, worker).await {
        Ok(connected) => connected,
        Err(fault) => {
            let problem = problems::unanswered(&fault, &plan.route);
            return exchange.refuse(connection, &problem, body, true, worker).await;
        }
    };
    let progress =
        Progress { is_whole: Cell::new(false), at: Cell::new(Instant::now()), bytes: Cell::new(0) };
    let outcome = run(exchange, connection, plan, body, (&mut kept, &turn), &progress, worker).await;
    exchange.outcome.received = progress.bytes.get();
    match outcome {
        Ok((next, is_reusable)) => {
            if is_reusable {
                worker.pool.keep(turn.replica(), kept);
            }
            next
        }
        Err(Fault::Body(BodyFault::Gone) | Fault::Ask(AskFault::Gone)) => Next::Gone,
        Err(Fault::Body(fault)) => {
            let problem = problem(fault, plan.route.body_limit);
            exchange.refuse(connection, &problem, Body::Sized(u64::MAX), true, worker).await
        }
        Err(Fault::Ask(fault)) => {
            turn.failed(std::time::Instant::now());
            let problem = problems::unanswered(&fault, &plan.route);
            exchange.refuse(connection, &problem, Body::Sized(u64::MAX), true, worker).await
        }
    }
}

/// Connects anew, unless a connection was used just now: that one which idled is closed would be noticed too late.
async fn connect(plan: &Plan, worker: &Worker) -> Result<(Kept, Turn), AskFault> {
    let replicas = &plan.route.service.replicas;
    let turn = replicas.choose(std::time::Instant::now()).map_err(AskFault::NoReplica)?;
    if let Some(kept) = worker.pool.take_fresh(&turn) {
        return Ok((kept, turn));
    }
    let fault = match Pool::connect(&turn).await {
        Ok(kept) => return Ok((kept, turn)),
        Err(fault) => fault,
    };
    turn.failed(std::time::Instant::now());
    let Some(other) = replicas.choose_again(&turn, std::time::Instant::now()) else {
        return Err(AskFault::Unreachable(fault));
    };
    match Pool::connect(&other).await {
        Ok(kept) => Ok((kept, other)),
        Err(fault) => {
            other.failed(std::time::Instant::now());
            Err(AskFault::Unreachable(fault))
        }
    }
}

/// Passes both bodies on, at the same time. Returns what becomes of the two connections.
async fn run<S: Stream>(
    exchange: &mut Exchange,
    connection: &mut Connection<S>,
    plan: &Plan,
    body: Body,
    (kept, turn): (&mut Kept, &Turn),
    progress: &Progress,
    worker: &Worker,
) -> Result<(Next, bool), Fault> {
    let mut head = Vec::with_capacity(1024);
    plan.write(&mut head, turn.authority().as_str(), None);
    let is_old = connection.head.is_old();
    let is_last = connection.head.is_last();
    let Connection { io, input, output, .. } = &mut *connection;
    let (mut from_client, mut to_client) = split(io);
    let Kept { stream, input: answer_input, head: answer, .. } = &mut *kept;
    let (mut from_service, mut to_service) = stream.split();
    let feeding =
        feed((input, &mut from_client), (&head, &mut to_service), body, plan.route.body_limit, progress);
    let mut feeding = pin!(feeding);
    answer.clear();
    tokio::select! {
        fault = &mut feeding => return Err(Fault::Body(fault)),
        read = poll_fn(|context| poll_head(answer, answer_input, &mut from_service, context)) => read.map_err(Fault::Ask)?,
        () = overdue(progress, plan) => return Err(Fault::Ask(AskFault::TimedOut(plan.route.timeout))),
    }
    if answer.status() == SWITCHING_PROTOCOLS {
        return Err(Fault::Ask(AskFault::Unreadable(HeadFault::Malformed)));
    }
    exchange.outcome.upstream = Some(exchange.since.elapsed());
    note(turn, (answer, answer_input.unread()), &plan.route.service.replicas);
    let ends = is_last || worker.stopping.is_cancelled() || !progress.is_whole.get();
    let (body, framing, closing) =
        relay::begin(exchange, output, plan, (answer, answer_input), (ends, is_old));
    let patience = Patience { with_service: plan.route.timeout, with_client: worker.rules.answer_stall };
    let sent = &mut exchange.outcome.sent;
    let passing = pass_body(
        (output, &mut to_client),
        (answer_input, &mut from_service),
        (body, framing),
        patience,
        sent,
    );
    let is_passed = tokio::select! {
        _ = &mut feeding => false,
        passed = passing => passed.is_ok(),
    };
    if !is_passed {
        return Ok((Next::Gone, false));
    }
    let next = if closing == Closing::Closes { Next::End } else { Next::Request };
    Ok((next, progress.is_whole.get() && is_reusable(answer, answer_input, body)))
}

/// Is done when the service has neither taken some of the body nor begun to answer for as long as it may.
async fn overdue(progress: &Progress, plan: &Plan) {
    loop {
        let due = progress.at.get() + plan.route.timeout;
        sleep_until(due).await;
        if progress.at.get() + plan.route.timeout <= due {
            return;
        }
    }
}

/// Feeds a service with the head and the body of a request, as fast as it takes them, and then looks whether the client
/// goes. It ends with what is wrong, and with nothing else. A service that takes no more may have answered already.
async fn feed<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    (input, from): (&mut Input, &mut R),
    (head, to): (&[u8], &mut W),
    body: Body,
    limit: u64,
    progress: &Progress,
) -> BodyFault {
    let is_taken = to.write_all(head).await.is_ok();
    let fed = match body {
        _ if !is_taken => Ok(()),
        Body::Chunked => feed_chunks((input, from), to, limit, progress).await,
        Body::Sized(length) => feed_bytes((input, from), to, length, progress).await,
        Body::None | Body::Opaque => Ok(()),
    };
    if let Err(fault) = fed {
        return fault;
    }
    poll_fn(|context| poll_gone(input, from, context)).await;
    BodyFault::Gone
}

async fn feed_bytes<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    (input, from): (&mut Input, &mut R),
    to: &mut W,
    length: u64,
    progress: &Progress,
) -> Result<(), BodyFault> {
    let mut left = length;
    loop {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.unread().len());
        if to.write_all(&input.unread()[..count]).await.is_err() {
            return Ok(());
        }
        input.consume(count);
        left -= count as u64;
        progress.note(count);
        if left == 0 {
            progress.is_whole.set(true);
            return Ok(());
        }
        fill(input, from).await?;
    }
}

async fn feed_chunks<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    (input, from): (&mut Input, &mut R),
    to: &mut W,
    limit: u64,
    progress: &Progress,
) -> Result<(), BodyFault> {
    let mut chunks = Chunks::default();
    let mut left = limit;
    let mut output = Vec::new();
    loop {
        let mut taken = 0;
        let is_over = loop {
            let (count, data) = chunks.read(input.unread());
            left = left.checked_sub(data.len() as u64).ok_or(BodyFault::TooLarge)?;
            taken += data.len();
            if data.is_empty() {
                input.consume(count);
                break chunks.is_over().map_err(|_| BodyFault::Malformed)?;
            }
            write_chunk(&mut output, data);
            input.consume(count);
        };
        if is_over {
            let _ = write!(output, "0\r\n\r\n");
        }
        if to.write_all(&output).await.is_err() {
            return Ok(());
        }
        output.clear();
        progress.note(taken);
        if is_over {
            progress.is_whole.set(true);
            return Ok(());
        }
        fill(input, from).await?;
    }
}

async fn fill<R: AsyncRead + Unpin>(input: &mut Input, from: &mut R) -> Result<(), BodyFault> {
    match timeout(PIECE_WITHIN, input.fill(from, PIECE)).await {
        Err(_) => Err(BodyFault::Late),
        Ok(Ok(1..)) => Ok(()),
        Ok(_) => Err(BodyFault::Gone),
    }
}

impl Progress {
    fn note(&self, count: usize) {
        self.at.set(Instant::now());
        self.bytes.set(self.bytes.get() + count as u64);
    }
}

fn problem(fault: BodyFault, limit: u64) -> Problem {
    match fault {
        BodyFault::TooLarge => Problem::body_too_large(limit),
        BodyFault::Late => problems::late("the body did not come in time"),
        BodyFault::Malformed | BodyFault::Gone => {
            Problem::invalid_request("the body is not in chunks as RFC 9112 writes them")
                .coded(ErrorCode::INVALID_REQUEST)
        }
    }
}
