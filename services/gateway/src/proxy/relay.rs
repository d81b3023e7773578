//! Passes an answer on, as fast as the slower side takes it.

use std::future::poll_fn;
use std::io::{self, Write as _};
use std::time::Duration;

use slipway_http1::{AnswerBody, AnswerHead, Chunks};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::timeout;

use super::inward::Plan;
use super::outward::{Closing, FUNCTION_OUTCOME, Framing, Source, write_answer};
use super::{Exchange, Next};
use crate::server::{Connection, Input, Stream, Worker, poll_gone};
use crate::upstream::{Kept, Turn};

/// What is read at once of a long answer.
const PIECE: usize = 256 * 1024;

/// How long the two sides of an answer may make each other wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the service's next piece.
    pub(super) with_service: Duration,
    /// For the client to take some of it.
    pub(super) with_client: Duration,
}

/// The answer broke off, on either side: the client must not take what it has for the whole.
pub(super) struct BrokenOff;

/// Passes on the answer whose head was read. The request's place at the replica is held until its end.
pub(super) async fn pass<S: Stream>(
    exchange: &mut Exchange,
    connection: &mut Connection<S>,
    plan: &Plan,
    (mut kept, turn): (Kept, Turn),
    worker: &Worker,
) -> Next {
    let ends = connection.head.is_last() || worker.stopping.is_cancelled();
    let (body, framing, closing) = begin(
        exchange,
        &mut connection.output,
        plan,
        (&kept.head, &mut kept.input),
        (ends, connection.head.is_old()),
    );
    let is_passed = match body {
        AnswerBody::None => connection.write(worker.rules.answer_stall).await.is_ok(),
        AnswerBody::Sized(length) if length <= kept.input.unread().len() as u64 => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            connection.output.extend_from_slice(&kept.input.unread()[..length]);
            kept.input.consume(length);
            exchange.outcome.sent = length as u64;
            connection.write(worker.rules.answer_stall).await.is_ok()
        }
        _ => {
            let patience =
                Patience { with_service: plan.route.timeout, with_client: worker.rules.answer_stall };
            let Connection { io, input, output, .. } = &mut *connection;
            let (mut from_client, mut to_client) = split(io);
            let (mut from_service, _) = kept.stream.split();
            let sent = &mut exchange.outcome.sent;
            let passing = pass_body(
                (output, &mut to_client),
                (&mut kept.input, &mut from_service),
                (body, framing),
                patience,
                sent,
            );
            tokio::select! {
                passed = passing => passed.is_ok(),
                () = poll_fn(|context| poll_gone(input, &mut from_client, context)) => false,
            }
        }
    };
    if !is_passed {
        return Next::Gone;
    }
    if is_reusable(&kept.head, &kept.input, body) {
        worker.pool.keep(turn.replica(), kept);
    }
    if closing == Closing::Closes { Next::End } else { Next::Request }
}

/// Tells whether another request can go over the connection of an answer that has ended.
pub(super) fn is_reusable(head: &AnswerHead, input: &Input, body: AnswerBody) -> bool {
    !head.is_last() && body != AnswerBody::UntilEnd && input.is_empty()
}

/// Writes the head of the client's answer, and takes that of the service's. `ends` says whether the connection does, and
/// whether it is one of HTTP/1.0.
pub(super) fn begin(
    exchange: &mut Exchange,
    output: &mut Vec<u8>,
    plan: &Plan,
    (head, input): (&AnswerHead, &mut Input),
    (ends, is_old): (bool, bool),
) -> (AnswerBody, Framing, Closing) {
    let bytes = input.unread();
    let body = head.body(&exchange.method);
    let framing = Framing::of(body, is_old);
    let closing = Closing::of(ends || framing == Framing::End, is_old);
    let source = if plan.route.is_content {
        Source::Function { is_beside_platform: plan.is_beside_platform }
    } else {
        Source::Service
    };
    exchange.outcome.status = head.status();
    exchange.outcome.is_users = head.values(bytes, FUNCTION_OUTCOME).next().is_some();
    let own = (&exchange.id, &exchange.said, closing);
    write_answer(output, (head, bytes), (body, framing), source, own);
    input.consume(head.length());
    (body, framing, closing)
}

impl Framing {
    fn of(body: AnswerBody, is_old: bool) -> Self {
        match body {
            AnswerBody::None | AnswerBody::Sized(_) => Self::Length,
            AnswerBody::Chunked | AnswerBody::UntilEnd if is_old => Self::End,
            AnswerBody::Chunked | AnswerBody::UntilEnd => Self::Chunks,
        }
    }
}

/// Passes on the body of an answer, after what stands in `output`.
pub(super) async fn pass_body<W: AsyncWrite + Unpin, R: AsyncRead + Unpin>(
    (output, to): (&mut Vec<u8>, &mut W),
    (input, from): (&mut Input, &mut R),
    (body, framing): (AnswerBody, Framing),
    patience: Patience,
    sent: &mut u64,
) -> Result<(), BrokenOff> {
    let mut left = match body {
        AnswerBody::None => 0,
        AnswerBody::Sized(length) => length,
        AnswerBody::Chunked | AnswerBody::UntilEnd => u64::MAX,
    };
    let mut chunks = (body == AnswerBody::Chunked).then(Chunks::default);
    loop {
        // As it is, where nothing has to be written around it.
        let mut bare = 0;
        let is_over = if let Some(chunks) = &mut chunks {
            take_chunks(chunks, input, output, framing, sent)?
        } else {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.unread().len());
            *sent += count as u64;
            if body != AnswerBody::UntilEnd {
                left -= count as u64;
            }
            if framing != Framing::Chunks {
                bare = count;
            } else if count > 0 {
                write_chunk(output, &input.unread()[..count]);
                input.consume(count);
            }
            left == 0
        };
        write_all(to, output, patience.with_client).await?;
        output.clear();
        write_all(to, &input.unread()[..bare], patience.with_client).await?;
        input.consume(bare);
        if is_over {
            break;
        }
        match timeout(patience.with_service, input.fill(from, PIECE)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0)) if body == AnswerBody::UntilEnd => break,
            _ => return Err(BrokenOff),
        }
    }
    if framing == Framing::Chunks {
        write_all(to, b"0\r\n\r\n", patience.with_client).await?;
    }
    Ok(())
}

/// Takes the chunks that are there; tells whether the body is over.
fn take_chunks(
    chunks: &mut Chunks,
    input: &mut Input,
    output: &mut Vec<u8>,
    framing: Framing,
    sent: &mut u64,
) -> Result<bool, BrokenOff> {
    loop {
        let (count, data) = chunks.read(input.unread());
        let is_last = data.is_empty();
        *sent += data.len() as u64;
        match framing {
            Framing::Chunks if !is_last => write_chunk(output, data),
            Framing::Chunks | Framing::End | Framing::Length => output.extend_from_slice(data),
        }
        input.consume(count);
        if is_last {
            // Trailers are not passed on.
            return chunks.is_over().map_err(|_| BrokenOff);
        }
    }
}

pub(super) fn write_chunk(to: &mut Vec<u8>, data: &[u8]) {
    // Writing into memory does not fail.
    let _ = write!(to, "{:x}\r\n", data.len());
    to.extend_from_slice(data);
    to.extend_from_slice(b"\r\n");
}

/// Writes all of it. It fails where the other side takes nothing of it for so long.
async fn write_all<W: AsyncWrite + Unpin>(
    to: &mut W,
    bytes: &[u8],
    within: Duration,
) -> Result<(), BrokenOff> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let written: io::Result<usize> = match timeout(within, to.write(rest)).await {
            Ok(written) => written,
            Err(_) => return Err(BrokenOff),
        };
        match written {
            Ok(count @ 1..) => rest = &rest[count..],
            _ => return Err(BrokenOff),
        }
    }
    match timeout(within, to.flush()).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(BrokenOff),
    }
}
