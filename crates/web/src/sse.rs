//! Server-sent events (WHATWG HTML, section 9.2): an answer that goes on for as long as there is news.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::stream::{Stream, StreamExt as _, once, unfold};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// After so much silence a comment is sent: proxies keep the connection, and a client that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client waits before it connects again. It also brings the head of the answer on its way at once.
const RETRY: &str = "retry: 2000\n\n";
/// The most bytes of an id that a client may give back.
const MAX_ID: usize = 256;
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Keeps nginx from collecting the answer.
static ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Cancelled when the listener stops: an answer that would never end has to end then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stopping(pub(crate) CancellationToken);

/// One event of an answer of [`event_stream`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    id: Option<String>,
    name: Option<&'static str>,
    data: String,
}

impl Event {
    /// Makes an event of the default type, `message`; `data` may have several lines.
    pub fn new(data: impl Into<String>) -> Self {
        Self { id: None, name: None, data: data.into() }
    }

    /// Makes an event whose data is JSON, in one line.
    pub fn json(data: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_string(data).map(Self::new)
    }

    /// Gives the event an id, which a client that connects again sends as `Last-Event-ID`: letters, digits and `-`.
    #[must_use]
    pub fn with_id(mut self, id: &impl ToString) -> Self {
        self.id = Some(id.to_string());
        self
    }

    /// Gives the event a type of its own, such as `end`.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Writing to a string cannot fail.
    fn encode(&self) -> Bytes {
        let mut text = String::with_capacity(self.data.len() + 64);
        if let Some(id) = &self.id {
            let _ = writeln!(text, "id: {}", id.replace(['\0', '\r', '\n'], ""));
        }
        if let Some(name) = self.name {
            let _ = writeln!(text, "event: {name}");
        }
        for line in self.data.replace("\r\n", "\n").split(['\r', '\n']) {
            let _ = writeln!(text, "data: {line}");
        }
        text.push('\n');
        text.into()
    }
}

/// The id of the last event that a client saw before it lost its connection (the header `Last-Event-ID`). It is what
/// the client says: any text of up to 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEventId(pub Option<String>);

impl FromRequest for LastEventId {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let given = request.headers().get(&LAST_EVENT_ID).and_then(|value| value.to_str().ok());
        let id = given.filter(|id| !id.is_empty() && id.len() <= MAX_ID);
        ready(Ok(Self(id.map(str::to_owned))))
    }
}

/// Answers with events as they come, until there are no more, the client leaves, or the service stops. A client that
/// sees no event of type `end`, or whatever the service closes with, connects again.
///
/// `events` is asked for the next only when the client has taken what came before, so it should remember how far it
/// has come rather than collect: then a slow reader costs nothing. It is dropped when the client is gone, which is
/// noticed within 15 s of silence.
pub fn event_stream(request: &HttpRequest, events: impl Stream<Item = Event> + 'static) -> HttpResponse {
    let stop = request.app_data::<Stopping>().cloned().unwrap_or_default().0;
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("text/event-stream")))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .insert_header((ACCEL_BUFFERING.clone(), HeaderValue::from_static("no")))
        .streaming(pieces(events, stop, HEARTBEAT).map(Ok::<_, Infallible>))
}

fn pieces(
    events: impl Stream<Item = Event> + 'static,
    stop: CancellationToken,
    heartbeat: Duration,
) -> impl Stream<Item = Bytes> {
    let rest = unfold((Box::pin(events), stop), move |(mut events, stop)| async move {
        let piece = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            event = events.next() => event?.encode(),
            () = tokio::time::sleep(heartbeat) => Bytes::from_static(b":\n\n"),
        };
        Some((piece, (events, stop)))
    });
    once(ready(Bytes::from_static(RETRY.as_bytes()))).chain(rest)
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{iter, pending};

    use super::*;

    #[test]
    fn every_line_of_the_data_is_a_line_of_the_event() {
        let text = |event: Event| String::from_utf8(event.encode().to_vec()).unwrap();
        assert_eq!(text(Event::new("one")), "data: one\n\n");
        assert_eq!(
            text(Event::new("a\r\nb\rc\n").with_id(&7).named("end")),
            "id: 7\nevent: end\ndata: a\ndata: b\ndata: c\ndata: \n\n"
        );
        assert_eq!(text(Event::new("x").with_id(&"1\nevent: end")), "id: 1event: end\ndata: x\n\n");
        assert_eq!(text(Event::json(&["a\nb"]).unwrap()), "data: [\"a\\nb\"]\n\n");
    }

    #[tokio::test]
    async fn silence_is_filled_and_a_stop_ends_it() {
        let stop = CancellationToken::new();
        let heartbeat = Duration::from_millis(1);
        let mut pieces = Box::pin(pieces(iter([Event::new("x")]).chain(pending()), stop.clone(), heartbeat));
        assert_eq!(pieces.next().await.unwrap(), RETRY);
        assert_eq!(pieces.next().await.unwrap(), "data: x\n\n");
        assert_eq!(pieces.next().await.unwrap(), ":\n\n");
        stop.cancel();
        assert_eq!(pieces.next().await, None);
    }
}
