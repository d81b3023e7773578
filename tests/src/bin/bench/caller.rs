use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use slipway_end_to_end::Platform;
use slipway_kernel::FunctionId;

use crate::wire::Wire;

/// One connection to the gateway, which calls a function.
pub(crate) struct Caller {
    wire: Wire,
    request: Request<Full<Bytes>>,
}

impl Caller {
    pub(crate) async fn connect(platform: &Platform, token: &str, function: FunctionId) -> Self {
        let request = Request::post(format!("/api/v1/functions/{function}/invoke"))
            .header("host", "bench")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(br#"{"body":1}"#)));
        Self { wire: Wire::to_gateway(platform).await, request: request.expect("a request") }
    }

    /// Calls the function once, to the end of its answer.
    pub(crate) async fn call(&mut self) {
        self.wire.ask(self.request.clone()).await;
    }
}
