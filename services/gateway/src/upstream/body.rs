use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Incoming;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

/// Pieces of a request's body that wait for the service: with it, what a slow service costs in memory is bounded.
const PIECES_AHEAD: usize = 4;

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

/// Passes the body of an answer on. A piece that takes longer than `idle` ends it with a fault.
pub(crate) fn answer_stream(body: Incoming, idle: Duration) -> impl Stream<Item = Result<Bytes, BodyFault>> {
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
