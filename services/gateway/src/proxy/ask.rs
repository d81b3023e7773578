//! Asks a replica of a service.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use slipway_http1::{AnswerHead, HeadFault, MAX_HEAD};
use tokio::io::{AsyncRead, AsyncWrite as _};
use tokio::time::Instant;

use super::SWITCHING_PROTOCOLS;
use super::inward::Plan;
use super::outward::FUNCTION_OUTCOME;
use crate::server::{Connection, Input, Stream, Worker, after_others};
use crate::upstream::{Kept, NoReplica, Pool, Replicas, Turn};

/// Says why there is no answer.
pub(super) enum AskFault {
    /// No replica is to be asked at the moment.
    NoReplica(NoReplica),
    /// No connection could be made: the request was not sent.
    Unreachable(io::Error),
    /// The connection had ended before a byte of the request was sent.
    Unsent(io::Error),
    /// The connection ended before the answer: nobody knows whether the request took effect.
    Broken(Option<io::Error>),
    /// What came is no answer.
    Unreadable(HeadFault),
    /// The answer did not begin in time.
    TimedOut(Duration),
    /// The client has gone.
    Gone,
}

/// Asks a replica of the route's service, with a body of `whole` bytes that was read, and where that comes to nothing before
/// an answer, asks once more: only where it cannot be that both do what was asked (RFC 9110, section 9.2.2; ADR 27).
/// Returns once the head of the answer is there.
pub(super) async fn ask<S: Stream>(
    connection: &mut Connection<S>,
    plan: &Plan,
    whole: usize,
    worker: &Worker,
) -> Result<(Kept, Turn), AskFault> {
    let replicas = &plan.route.service.replicas;
    let now = Instant::now();
    let due = now + plan.route.timeout;
    connection.timer.set(due);
    let mut turn = replicas.choose(now.into_std()).map_err(AskFault::NoReplica)?;
    let mut kept = worker.pool.take(&turn);
    let mut is_first = true;
    loop {
        let was_used = kept.is_some();
        let fault = match send(connection, plan, (whole, due), &turn, kept.take()).await {
            Ok(kept) => {
                note(&turn, (&kept.head, kept.input.unread()), replicas);
                return Ok((kept, turn));
            }
            Err(AskFault::Gone) => return Err(AskFault::Gone),
            Err(fault) => fault,
        };
        let is_lost = match fault {
            AskFault::Unreachable(_) | AskFault::Unsent(_) => true,
            AskFault::Broken(_) => plan.is_idempotent,
            _ => false,
        };
        // That a service closed a connection which idled says nothing of it.
        let is_stale = was_used && matches!(fault, AskFault::Unsent(_) | AskFault::Broken(_));
        if !is_stale {
            turn.failed(std::time::Instant::now());
        }
        if !is_first || !is_lost {
            return Err(fault);
        }
        is_first = false;
        if !is_stale {
            let Some(other) = replicas.choose_again(&turn, std::time::Instant::now()) else {
                return Err(fault);
            };
            kept = worker.pool.take(&other);
            turn = other;
        }
    }
}

/// Notes what an answer says of the replica.
pub(super) fn note(turn: &Turn, (head, bytes): (&AnswerHead, &[u8]), replicas: &Replicas) {
    // Where there is no other, some request that it fails on must not keep it from all the rest.
    if replicas.are_several() && is_own_failure(head, bytes) {
        turn.failed(std::time::Instant::now());
    } else {
        turn.succeeded(std::time::Instant::now());
    }
}

/// Tells a failure of the service from what a user's function came to, and from a service that says when to come again.
fn is_own_failure(head: &AnswerHead, bytes: &[u8]) -> bool {
    let has = |name| head.values(bytes, name).next().is_some();
    head.status() >= 500 && !(head.status() == 503 && has("retry-after")) && !has(FUNCTION_OUTCOME)
}

/// Sends the request over one connection and reads the head of the answer.
async fn send<S: Stream>(
    connection: &mut Connection<S>,
    plan: &Plan,
    (whole, due): (usize, Instant),
    turn: &Turn,
    kept: Option<Kept>,
) -> Result<Kept, AskFault> {
    let mut kept = match kept {
        Some(kept) => kept,
        None => Pool::connect(turn).await.map_err(AskFault::Unreachable)?,
    };
    // The client's buffer holds nothing while its request is passed on.
    let mut message = std::mem::take(&mut connection.output);
    plan.write(&mut message, turn.authority().as_str(), Some(due.saturating_duration_since(Instant::now())));
    message.extend_from_slice(&connection.input.unread()[..whole]);
    let mut sent = 0;
    kept.head.clear();
    after_others().await;
    let answered = poll_fn(|context| {
        while sent < message.len() {
            match Pin::new(&mut kept.stream).poll_write(context, &message[sent..]) {
                Poll::Ready(Ok(count)) => sent += count,
                Poll::Ready(Err(fault)) if sent == 0 => return Poll::Ready(Err(AskFault::Unsent(fault))),
                // It may have answered before it closed.
                Poll::Ready(Err(_)) => sent = message.len(),
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(read) = poll_head(&mut kept.head, &mut kept.input, &mut kept.stream, context) {
            return Poll::Ready(read);
        }
        if connection.poll_gone(context).is_ready() {
            return Poll::Ready(Err(AskFault::Gone));
        }
        connection.timer.poll(context).map(|()| Err(AskFault::TimedOut(plan.route.timeout)))
    })
    .await;
    message.clear();
    connection.output = message;
    answered?;
    if kept.head.status() == SWITCHING_PROTOCOLS && !plan.is_switch {
        return Err(AskFault::Unreadable(HeadFault::Malformed));
    }
    Ok(kept)
}

/// Reads the head of an answer, past those that only say that one will come (RFC 9110, section 15.2).
pub(super) fn poll_head<R: AsyncRead + Unpin>(
    head: &mut AnswerHead,
    input: &mut Input,
    from: &mut R,
    context: &mut Context<'_>,
) -> Poll<Result<(), AskFault>> {
    loop {
        match head.read(input.unread_mut()) {
            Ok(true) if matches!(head.status(), 100 | 102..=199) => {
                input.consume(head.length());
                head.clear();
                continue;
            }
            Ok(true) => return Poll::Ready(Ok(())),
            Ok(false) => {}
            Err(fault) => return Poll::Ready(Err(AskFault::Unreadable(fault))),
        }
        match std::task::ready!(input.poll_fill(from, MAX_HEAD + 1, context)) {
            Ok(0) => return Poll::Ready(Err(AskFault::Broken(None))),
            Ok(_) => {}
            Err(fault) => return Poll::Ready(Err(AskFault::Broken(Some(fault)))),
        }
    }
}
