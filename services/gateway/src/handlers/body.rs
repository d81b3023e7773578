//! The request's body, on its way to a service.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::web::{Bytes, Payload};
use futures_util::StreamExt as _;
use slipway_kernel::ErrorCode;
use slipway_web::{Problem, read_body};
use tokio::time::timeout;

use crate::routes::Route;
use crate::upstream::{self, BodyFault, RequestBody};

/// Up to this a body is read before the service is asked: a slow client then holds no connection to it.
const READ_AHEAD: u64 = 64 * 1024;

/// Within this a body that is read ahead is whole, and the next piece of a longer one is there.
const PIECE_WITHIN: Duration = Duration::from_secs(30);

/// A request's body.
pub(super) enum Taken {
    /// All of it.
    Whole(Bytes),
    /// As much of it as the service has taken is gone.
    Streamed(RequestBody),
}

impl Taken {
    /// Returns the body once more, where it can be sent a second time.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Streamed(_) => None,
        }
    }

    /// Makes what is sent.
    pub(super) fn into_body(self) -> RequestBody {
        match self {
            Self::Whole(bytes) if bytes.is_empty() => upstream::empty(),
            Self::Whole(bytes) => upstream::whole(bytes),
            Self::Streamed(body) => body,
        }
    }
}

/// Takes the body within the route's bounds. Returns it with its length, where that is known.
pub(super) async fn take(
    request: &HttpRequest,
    payload: Payload,
    route: &Route,
) -> Result<(Taken, Option<u64>), Problem> {
    let headers = request.headers();
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced {
        Some(length) if length > route.body_limit => Err(Problem::body_too_large(route.body_limit)),
        Some(0) => Ok((Taken::Whole(Bytes::new()), None)),
        None if !headers.contains_key(TRANSFER_ENCODING) => Ok((Taken::Whole(Bytes::new()), None)),
        Some(length) if length <= READ_AHEAD => {
            let read = read_body(request, payload.into_inner(), route.body_limit);
            let body = timeout(PIECE_WITHIN, read).await.map_err(|_| problem(BodyFault::Late, route))??;
            Ok((Taken::Whole(body.freeze()), Some(length)))
        }
        _ => Ok((Taken::Streamed(stream(payload, route.body_limit)), announced)),
    }
}

/// Feeds the body piece by piece, as fast as the service takes it.
fn stream(mut payload: Payload, limit: u64) -> RequestBody {
    let (sender, body) = upstream::streamed();
    // It ends with the client's connection, or once the service has dropped its end.
    actix_web::rt::spawn(async move {
        let mut left = limit;
        loop {
            let piece = match timeout(PIECE_WITHIN, payload.next()).await {
                Ok(None) => return,
                Ok(Some(Ok(piece))) => match left.checked_sub(piece.len() as u64) {
                    Some(rest) => {
                        left = rest;
                        Ok(piece)
                    }
                    None => Err(BodyFault::TooLarge),
                },
                Ok(Some(Err(_))) => Err(BodyFault::Broken),
                Err(_) => Err(BodyFault::Late),
            };
            let over = piece.is_err();
            if sender.send(piece).await.is_err() || over {
                return;
            }
        }
    });
    body
}

pub(super) fn problem(fault: BodyFault, route: &Route) -> Problem {
    match fault {
        BodyFault::TooLarge => Problem::body_too_large(route.body_limit),
        BodyFault::Late => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            ErrorCode::new("request_timeout"),
            "the body did not come in time",
        ),
        BodyFault::Broken => Problem::invalid_request("the body broke off before its end"),
    }
}
