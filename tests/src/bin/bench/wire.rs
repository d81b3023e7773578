use std::pin::Pin;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use slipway_end_to_end::Platform;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// One connection, which carries one request after the other. The same client asks all that is compared, and does little, so
/// that what is measured is not who asks.
pub(crate) struct Wire {
    requests: SendRequest<Full<Bytes>>,
    /// Goes on while an answer is waited for: a task of its own would cost each request two more wake-ups.
    connection: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
}

impl Wire {
    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (requests, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        Self { requests, connection: Box::pin(connection) }
    }

    pub(crate) async fn to_gateway(platform: &Platform) -> Self {
        let authority = platform.gateway().trim_start_matches("http://");
        let stream = TcpStream::connect(authority).await.expect("the gateway");
        stream.set_nodelay(true).expect("the connection");
        Self::over(stream).await
    }

    /// Asks, and returns the body of the answer, whose status must be 200.
    pub(crate) async fn ask(&mut self, request: Request<Full<Bytes>>) -> Bytes {
        let (status, body) = self.send(request).await;
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        body
    }

    /// Asks, and returns the status and the whole body of the answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> (StatusCode, Bytes) {
        let Self { requests, connection } = self;
        let exchange = async {
            requests.ready().await.expect("the connection");
            let answer = requests.send_request(request).await.expect("an answer");
            (answer.status(), answer.into_body().collect().await.expect("the whole answer").to_bytes())
        };
        tokio::select! {
            biased;
            answer = exchange => answer,
            end = connection => panic!("the connection ended: {end:?}"),
        }
    }
}
