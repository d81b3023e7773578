use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Incoming;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

/// Pieces of a body that wait for a slow side: with it, what that costs in memory is bounded.
const PIECES_AHEAD: usize = 4;

/// What sockets hold on their own: a service that sent so much is done, whatever the client takes.
const AT_ONCE: u64 = 64 * 1024;

/// Says why a body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// It is larger than the route takes.
    #[error("the body is larger than the route takes")]
    TooLarge,
    /// Its next piece did not come in time.
    #[error("the body's next piece did not come in time")]
    Late,
    /// The connection that it came over broke.
    #[error("the body broke off")]
    Broken,
}

/// The body of a request to a service.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BodyFault>;

pub(crate) fn empty() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn whole(bytes: Bytes) -> RequestBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Makes a body that is fed piece by piece. A sender that is dropped ends it.
pub(crate) fn streamed() -> (Sender<Result<Bytes, BodyFault>>, RequestBody) {
    let (sender, receiver): (_, Receiver<Result<Bytes, BodyFault>>) = channel(PIECES_AHEAD);
    let frames = ReceiverStream::new(receiver).map_ok(Frame::data);
    (sender, StreamBody::new(frames).boxed_unsync())
}

/// How long the two sides of an answer may make each other wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For the service's next piece.
    pub(crate) with_service: Duration,
    /// For the client to take a piece.
    pub(crate) with_client: Duration,
}

/// Passes the body of an answer on. It ends with a fault where a side takes longer than it may: a client that takes
/// nothing would otherwise have the service hold its answer for as long as it likes.
pub(crate) fn answer_stream(
    body: Incoming,
    patience: Patience,
) -> impl Stream<Item = Result<Bytes, BodyFault>> {
    let is_short = body.size_hint().exact().is_some_and(|bytes| bytes <= AT_ONCE);
    let pieces = pieces(body, patience.with_service);
    if is_short { Either::Left(pieces) } else { Either::Right(taken_in_time(pieces, patience.with_client)) }
}

fn pieces(body: Incoming, idle: Duration) -> impl Stream<Item = Result<Bytes, BodyFault>> + Send + 'static {
    stream::try_unfold(body, move |mut body| async move {
        loop {
            match timeout(idle, body.frame()).await {
                Err(_) => return Err(BodyFault::Late),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(BodyFault::Broken),
                Ok(Some(Ok(frame))) => {
                    // What is no data is a trailer, which is not passed on.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some((data, body)));
                    }
                }
            }
        }
    })
}

/// Takes the pieces in a task of its own: the server does not ask for the next while its client takes none, so
/// nothing that it asks can tell the time.
fn taken_in_time(
    pieces: impl Stream<Item = Result<Bytes, BodyFault>> + Send + 'static,
    within: Duration,
) -> impl Stream<Item = Result<Bytes, BodyFault>> {
    let (sender, receiver) = channel(PIECES_AHEAD);
    tokio::spawn(async move {
        let mut pieces = pin!(pieces);
        loop {
            let piece = tokio::select! {
                piece = pieces.next() => piece.transpose(),
                () = sender.closed() => return,
            };
            let is_last = !matches!(piece, Ok(Some(_)));
            let taken = timeout(within, sender.send(piece)).await;
            if is_last || !matches!(taken, Ok(Ok(()))) {
                return;
            }
        }
    });
    stream::try_unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Some(Ok(Some(piece))) => Ok(Some((piece, receiver))),
            Some(Ok(None)) => Ok(None),
            Some(Err(fault)) => Err(fault),
            None => Err(BodyFault::Late),
        }
    })
}
