use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::{BodyFault, RequestBody};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than the services keep an idle connection, so that it is this side that ends one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_IDLE: usize = 256;

/// A pool of connections to the services. Each of the server's threads has its own, so that none waits for another.
#[derive(Clone)]
pub(crate) struct Client(hyper_util::client::legacy::Client<HttpConnector, RequestBody>);

/// Says why a service gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// No connection could be made: the request was not sent.
    #[error("cannot connect: {0}")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// The connection ended before the answer: nobody knows whether the request took effect.
    #[error("the connection ended before the answer: {0}")]
    Broken(#[source] hyper_util::client::legacy::Error),
    /// The answer did not begin in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The request's own body came to a bad end.
    #[error("the request's body: {0}")]
    Body(BodyFault),
    /// The answer is larger than the gateway itself reads.
    #[error("the answer cannot be read: {0}")]
    Answer(#[source] Box<dyn Error + Send + Sync>),
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
            .pool_max_idle_per_host(MAX_IDLE)
            .build(connector);
        Self(client)
    }

    /// Sends a request and returns once the head of the answer is there. Dropping the future ends the request.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
        within: Duration,
    ) -> Result<Response<Incoming>, UpstreamError> {
        match timeout(within, self.0.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) => Err(classify(fault)),
            Err(_) => Err(UpstreamError::TimedOut(within)),
        }
    }

    /// Sends a request of the gateway's own and reads the whole answer, of at most `limit` bytes.
    pub(crate) async fn fetch(
        &self,
        request: Request<RequestBody>,
        within: Duration,
        limit: usize,
    ) -> Result<Response<Bytes>, UpstreamError> {
        let fetched = async {
            let (head, body) = self.send(request, within).await?.into_parts();
            let body = Limited::new(body, limit).collect().await.map_err(UpstreamError::Answer)?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(within, fetched).await.unwrap_or(Err(UpstreamError::TimedOut(within)))
    }
}

fn classify(fault: hyper_util::client::legacy::Error) -> UpstreamError {
    if fault.is_connect() {
        return UpstreamError::Unreachable(fault);
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(&fault);
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref::<BodyFault>() {
            return UpstreamError::Body(*fault);
        }
        cause = error.source();
    }
    UpstreamError::Broken(fault)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream::empty;

    #[tokio::test]
    async fn an_answer_that_does_not_begin_in_time_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let within = Duration::from_millis(50);
        let request = Request::get(url).body(empty()).unwrap();
        let outcome = Client::new().send(request, within).await;
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
        let outcome = Client::new().fetch(request, Duration::from_secs(30), 4).await;
        assert!(matches!(outcome, Err(UpstreamError::Answer(_))), "{outcome:?}");
    }
}
