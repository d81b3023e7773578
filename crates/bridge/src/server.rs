//! The HTTP side: reads requests, and streams the frames of their calls.

use std::cell::OnceCell;
use std::convert::Infallible;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use slipway_bridge::protocol::{
    CONFIGURE_PATH, Configure, INVOKE_PATH, InvokeHead, MAX_BODY_BYTES, MAX_CONCURRENCY, MAX_CONFIGURE_BYTES,
    READY_PATH,
};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::frames::{self, Chunks};
use crate::supervisor::{Call, Work};

/// What the handler is loaded with.
#[derive(Clone)]
struct Configured {
    log_limit_bytes: u64,
    json: Bytes,
}

/// Why a request was refused: the status, and one line for the runner's log.
type Refusal = (StatusCode, String);

pub(crate) struct Server {
    calls: mpsc::Sender<Call>,
    configuration: OnceCell<Configured>,
    /// The runner's socket.
    socket: PathBuf,
    /// Takes further connections to it.
    dialled: mpsc::UnboundedSender<UnixStream>,
}

impl Server {
    pub(crate) fn new(
        calls: mpsc::Sender<Call>,
        socket: PathBuf,
        dialled: mpsc::UnboundedSender<UnixStream>,
    ) -> Self {
        Self { calls, configuration: OnceCell::new(), socket, dialled }
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Chunks>, Infallible> {
        let answer = match (request.method(), request.uri().path()) {
            (&Method::PUT, CONFIGURE_PATH) => self.configure(request.into_body()).await,
            (&Method::GET, READY_PATH) => self.ready().await,
            (&Method::POST, INVOKE_PATH) => self.invoke(request.into_body()).await,
            (method, path) => Err((StatusCode::NOT_FOUND, format!("no {method} {path} here"))),
        };
        Ok(answer.unwrap_or_else(|(status, text)| Chunks::of(Bytes::from(text)).response(status)))
    }

    async fn configure(&self, body: Incoming) -> Result<Response<Chunks>, Refusal> {
        let body =
            Limited::new(body, MAX_CONFIGURE_BYTES).collect().await.map_err(|error| bad_request(&*error))?;
        let configure: Configure =
            serde_json::from_slice(&body.to_bytes()).map_err(|error| bad_request(&error))?;
        if !(1..=MAX_CONCURRENCY).contains(&configure.concurrency) {
            let text = format!("concurrency has to lie between 1 and {MAX_CONCURRENCY}");
            return Err((StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        // Written anew, so that the worker finds every default spelled out.
        let json = serde_json::to_vec(&configure).map_err(|error| bad_request(&error))?.into();
        let kept = self.configuration.set(Configured { log_limit_bytes: configure.log_limit_bytes, json });
        kept.map_err(|_| (StatusCode::CONFLICT, "the instance was configured before".to_owned()))?;
        self.dial(configure.concurrency - 1).await?;
        Ok(Chunks::of(Bytes::new()).response(StatusCode::NO_CONTENT))
    }

    /// Opens a connection for each further call at a time. The function is not loaded yet: nobody else can.
    async fn dial(&self, more: u32) -> Result<(), Refusal> {
        let gone = |error: &dyn std::error::Error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        for _ in 0..more {
            let stream = UnixStream::connect(&self.socket).await.map_err(|error| gone(&error))?;
            self.dialled.send(stream).map_err(|error| gone(&error))?;
        }
        Ok(())
    }

    async fn ready(&self) -> Result<Response<Chunks>, Refusal> {
        let configured = self.configuration.get().cloned();
        let Configured { log_limit_bytes, json } =
            configured.ok_or_else(|| (StatusCode::CONFLICT, "the instance was not configured".to_owned()))?;
        self.call(Work::Load { log_limit_bytes, json }).await
    }

    async fn invoke(&self, mut rest: Incoming) -> Result<Response<Chunks>, Refusal> {
        let length = rest
            .size_hint()
            .exact()
            .ok_or_else(|| (StatusCode::LENGTH_REQUIRED, "a call needs its content-length".to_owned()))?;
        let mut received = BytesMut::new();
        let head = loop {
            if let Some(head) = InvokeHead::split(&mut received).map_err(|error| bad_request(&error))? {
                break head;
            }
            match rest.frame().await {
                Some(Ok(frame)) => received.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(bad_request(&error)),
                None => return Err((StatusCode::BAD_REQUEST, "the call ends within its head".to_owned())),
            }
        };
        let body = length - (size_of::<u32>() + head.len()) as u64;
        let body_bytes =
            u32::try_from(body).ok().filter(|bytes| *bytes as usize <= MAX_BODY_BYTES).ok_or_else(|| {
                (
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("a body of {body} bytes, at most {MAX_BODY_BYTES} are taken"),
                )
            })?;
        self.call(Work::Invoke { head, first: received.freeze(), rest, body_bytes }).await
    }

    /// Hands the work over, and answers with its first frames: a quick call is one write on the connection.
    async fn call(&self, work: Work) -> Result<Response<Chunks>, Refusal> {
        let (frames, chunks) = frames::channel();
        let gone = |_| (StatusCode::SERVICE_UNAVAILABLE, "the worker is gone".to_owned());
        self.calls.send(Call { work, frames }).await.map_err(gone)?;
        let refused =
            || (StatusCode::CONFLICT, "no handler is loaded: see what GET /ready answers".to_owned());
        Ok(chunks.begun().await.ok_or_else(refused)?.response(StatusCode::OK))
    }
}

fn bad_request(error: &(dyn std::error::Error + 'static)) -> Refusal {
    (StatusCode::BAD_REQUEST, error.to_string())
}
