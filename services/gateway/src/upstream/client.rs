use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::{NoReplica, Replicas, Turn};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than the services keep an idle connection, so that it is this side that ends one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The body of a question.
type Question = Full<Bytes>;

/// How long an answer may take, and how many bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) within: Duration,
    pub(crate) bytes: usize,
}

/// What the gateway asks services with on its own behalf. What clients ask goes by [`super::Pool`].
#[derive(Clone)]
pub(crate) struct Client(hyper_util::client::legacy::Client<HttpConnector, Question>);

/// Says why a service gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// There was no connection, or it ended before the answer.
    #[error(transparent)]
    Failed(#[from] hyper_util::client::legacy::Error),
    /// The answer was not whole in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The answer broke off, or is larger than the gateway reads.
    #[error("the answer cannot be read: {0}")]
    Answer(#[source] Box<dyn Error + Send + Sync>),
    /// There is nobody to ask.
    #[error(transparent)]
    NoReplica(#[from] NoReplica),
}

pub(crate) fn empty() -> Question {
    Full::default()
}

impl Client {
    /// Makes an empty pool.
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Self(client)
    }

    /// Asks a replica of a service, by a path, and another where that one gives no answer. It asks also where the
    /// circuits of all are open: what it asks for is what shows that they have come back.
    pub(crate) async fn ask(
        &self,
        replicas: &Replicas,
        request: &Request<Question>,
        bounds: Bounds,
    ) -> Result<Response<Bytes>, UpstreamError> {
        let turn = replicas.choose_be_it_open(Instant::now())?;
        match self.ask_one(&turn, request, bounds).await {
            Err(fault) => match replicas.choose_again(&turn, Instant::now()) {
                Some(other) => self.ask_one(&other, request, bounds).await,
                None => Err(fault),
            },
            answered => answered,
        }
    }

    async fn ask_one(
        &self,
        turn: &Turn,
        request: &Request<Question>,
        bounds: Bounds,
    ) -> Result<Response<Bytes>, UpstreamError> {
        let mut request = request.clone();
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(turn.authority().clone());
        parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        let answered = self.fetch(request, bounds).await;
        match &answered {
            Ok(_) => turn.succeeded(Instant::now()),
            Err(_) => turn.failed(Instant::now()),
        }
        answered
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn fetch(
        &self,
        request: Request<Question>,
        Bounds { within, bytes }: Bounds,
    ) -> Result<Response<Bytes>, UpstreamError> {
        let fetched = async {
            let (head, body) = self.0.request(request).await?.into_parts();
            let body = Limited::new(body, bytes).collect().await.map_err(UpstreamError::Answer)?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(within, fetched).await.unwrap_or(Err(UpstreamError::TimedOut(within)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_does_not_begin_in_time_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let within = Duration::from_millis(50);
        let request = Request::get(url).body(empty()).unwrap();
        let outcome = Client::new().fetch(request, Bounds { within, bytes: 4 }).await;
        assert!(matches!(outcome, Err(UpstreamError::TimedOut(late)) if late == within), "{outcome:?}");
    }

    #[tokio::test]
    async fn an_answer_that_is_larger_than_is_read_is_refused() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
            // Until the client has gone: an early end would break the answer off.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let request = Request::get(url).body(empty()).unwrap();
        let bounds = Bounds { within: Duration::from_secs(30), bytes: 4 };
        let outcome = Client::new().fetch(request, bounds).await;
        assert!(matches!(outcome, Err(UpstreamError::Answer(_))), "{outcome:?}");
    }
}
