use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use slipway_end_to_end::Platform;
use slipway_kernel::FunctionId;
use tokio::net::TcpStream;

/// One connection to the gateway, which calls a function. It is the same client as [`crate::direct::Bridge`], so that
/// what a comparison measures is the platform and not the one who calls.
pub(crate) struct Caller {
    requests: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
}

impl Caller {
    pub(crate) async fn connect(platform: &Platform, token: &str, function: FunctionId) -> Self {
        let authority = platform.gateway().trim_start_matches("http://");
        let stream = TcpStream::connect(authority).await.expect("the gateway");
        stream.set_nodelay(true).expect("the connection");
        let (requests, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        let request = Request::post(format!("/api/v1/functions/{function}/invoke"))
            .header("host", authority)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(br#"{"body":1}"#)));
        Self { requests, request: request.expect("a request") }
    }

    /// Calls the function once, to the end of its answer.
    pub(crate) async fn call(&mut self) {
        self.requests.ready().await.expect("the connection");
        let answer = self.requests.send_request(self.request.clone()).await.expect("an answer");
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("the whole answer").to_bytes();
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    }
}
