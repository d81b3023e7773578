//! The Lambda Runtime API, version 2018-06-01, on the instance's own loopback.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use slipway_bridge::protocol::{Configure, Fault, MAX_BODY_BYTES, MAX_HEAD_BYTES};
use tokio::net::TcpListener;
use tokio::task::spawn_local;

use crate::calls::{Calls, Invocation};
use crate::socket::{Kind, Sender};
use crate::{answer, event};

const VERSION: &str = "/2018-06-01/runtime/";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
/// Characters; with JSON's escapes they fit in a head.
const MAX_KIND: usize = 256;
const MAX_MESSAGE: usize = 8 * 1024;
const MAX_TRACE: usize = 24 * 1024;
/// What a fault of the program's own is called where it gave no type.
const UNNAMED: &str = "Unhandled";

type Answered = Response<Full<Bytes>>;

pub(crate) struct Api {
    function: String,
    arn: String,
    calls: Rc<Calls>,
    sender: Sender,
    /// The program asked for an invocation, or said that it cannot.
    has_loaded: Cell<bool>,
}

/// What a program tells of an error.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Told {
    error_message: Option<String>,
    error_type: Option<String>,
    stack_trace: Vec<String>,
}

impl Api {
    pub(crate) fn new(configuration: &Configure, calls: Rc<Calls>, sender: Sender) -> Self {
        let Configure { function_name, function_version, .. } = configuration;
        Self {
            function: function_name.clone(),
            arn: format!("arn:slipway:lambda:local:000000000000:function:{function_name}:{function_version}"),
            calls,
            sender,
            has_loaded: Cell::new(false),
        }
    }

    /// Serves whoever connects: in the instance's own network that can only be the function.
    pub(crate) async fn serve(self: Rc<Self>, listener: TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            // Answers are small and wanted at once.
            stream.set_nodelay(true)?;
            let api = Rc::clone(&self);
            let service = service_fn(move |request| {
                let api = Rc::clone(&api);
                async move { Ok::<_, Infallible>(api.answer(request).await) }
            });
            spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    async fn answer(self: Rc<Self>, request: Request<Incoming>) -> Answered {
        let path = request.uri().path().strip_prefix(VERSION).unwrap_or_default().to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        match (request.method(), &parts[..]) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.respond(id, request).await,
            (&Method::POST, ["invocation", id, "error"]) => self.fail(id, request).await,
            (&Method::POST, ["init", "error"]) => self.fail_to_load(request).await,
            _ => {
                // Read, so that the connection goes on.
                let _ = collect(request, MAX_HEAD_BYTES).await;
                refuse(StatusCode::NOT_FOUND, "NotFound", "there is no such path in the Runtime API")
            }
        }
    }

    async fn next(&self) -> Answered {
        if !self.has_loaded.replace(true) {
            self.deliver(Kind::Ready, 0, Vec::new(), Bytes::new()).await;
        }
        let Invocation { head, body, came_ms, .. } = self.calls.take().await;
        // An event is plain text, which can always be written.
        let event = event::write(&head, body, &self.function, came_ms).unwrap_or_default();
        let mut answer = Response::new(Full::from(event));
        let headers = answer.headers_mut();
        for (name, value) in [
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", head.execution_id),
            ("lambda-runtime-deadline-ms", came_ms.saturating_add(head.deadline_ms).to_string()),
            ("lambda-runtime-invoked-function-arn", self.arn.clone()),
            ("lambda-runtime-trace-id", head.traceparent.as_deref().and_then(trace_id).unwrap_or_default()),
        ] {
            if let (Ok(value), false) = (value.parse(), value.is_empty()) {
                headers.insert(name, value);
            }
        }
        answer
    }

    async fn respond(&self, id: &str, request: Request<Incoming>) -> Answered {
        let content_type = header(request.headers(), CONTENT_TYPE.as_str());
        let received = collect(request, MAX_BODY_BYTES).await;
        let Some(call) = self.calls.finish(id) else { return unknown(id) };
        let received = match received {
            Ok(received) => received,
            Err(fault) => {
                self.deliver_fault(
                    Kind::Failure,
                    call,
                    invalid(format!("the answer cannot be taken: {fault}")),
                )
                .await;
                return refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &fault);
            }
        };
        // A program that fails while it streams says so behind what it sent.
        if let Some(kind) = received.trailers().and_then(|trailers| header(trailers, ERROR_TYPE)) {
            let message = "the program failed while it streamed its answer".to_owned();
            self.deliver_fault(
                Kind::Failure,
                call,
                Fault { kind: cut(kind, MAX_KIND), message, trace: None },
            )
            .await;
            return accepted();
        }
        match answer::read(content_type.as_deref(), received.to_bytes()) {
            Ok((head, body)) => match serde_json::to_vec(&head) {
                Ok(head) if head.len() <= MAX_HEAD_BYTES => {
                    self.deliver(Kind::Answer, call, head, body).await;
                }
                _ => {
                    let fault =
                        invalid(format!("the answer's headers are larger than {MAX_HEAD_BYTES} bytes"));
                    self.deliver_fault(Kind::Failure, call, fault).await;
                }
            },
            Err(fault) => self.deliver_fault(Kind::Failure, call, invalid(fault)).await,
        }
        accepted()
    }

    async fn fail(&self, id: &str, request: Request<Incoming>) -> Answered {
        let told = read_fault(request).await;
        let Some(call) = self.calls.finish(id) else { return unknown(id) };
        self.deliver_fault(Kind::Failure, call, told).await;
        accepted()
    }

    async fn fail_to_load(&self, request: Request<Incoming>) -> Answered {
        let told = read_fault(request).await;
        if self.has_loaded.replace(true) {
            return refuse(StatusCode::FORBIDDEN, "InvalidStateTransition", "the function was loaded before");
        }
        self.deliver_fault(Kind::LastFailure, 0, told).await;
        accepted()
    }

    async fn deliver_fault(&self, kind: Kind, call: u32, fault: Fault) {
        // A fault is plain text, which can always be written.
        let head = serde_json::to_vec(&fault).unwrap_or_default();
        self.deliver(kind, call, head, Bytes::new()).await;
    }

    /// Sends a message whole, also when the program hangs up meanwhile. A bridge that takes none is gone, which ends
    /// the worker.
    async fn deliver(&self, kind: Kind, call: u32, head: Vec<u8>, body: Bytes) {
        let sender = self.sender.clone();
        let _ = spawn_local(async move { sender.send(kind, call, &head, &body).await }).await;
    }
}

async fn collect(request: Request<Incoming>, limit: usize) -> Result<Collected<Bytes>, String> {
    Limited::new(request.into_body(), limit).collect().await.map_err(|fault| {
        if fault.is::<http_body_util::LengthLimitError>() {
            format!("it is larger than {limit} bytes")
        } else {
            fault.to_string()
        }
    })
}

async fn read_fault(request: Request<Incoming>) -> Fault {
    let kind = header(request.headers(), ERROR_TYPE);
    let body = collect(request, MAX_HEAD_BYTES).await.map(Collected::to_bytes).unwrap_or_default();
    let told: Told = serde_json::from_slice(&body).unwrap_or_else(|_| Told {
        error_message: Some(String::from_utf8_lossy(&body).into_owned()),
        ..Told::default()
    });
    let message = told.error_message.filter(|message| !message.is_empty());
    Fault {
        kind: cut(told.error_type.or(kind).unwrap_or_else(|| UNNAMED.to_owned()), MAX_KIND),
        message: cut(message.unwrap_or_else(|| "the program gave no message".to_owned()), MAX_MESSAGE),
        trace: (!told.stack_trace.is_empty()).then(|| cut(told.stack_trace.join("\n"), MAX_TRACE)),
    }
}

fn invalid(message: String) -> Fault {
    Fault { kind: "invalid_answer".to_owned(), message, trace: None }
}

fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn accepted() -> Answered {
    told(StatusCode::ACCEPTED, &json!({"status": "OK"}))
}

fn unknown(id: &str) -> Answered {
    let message = format!("{id:.100} is no invocation that waits for its outcome");
    refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", &message)
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Answered {
    told(status, &json!({"errorType": kind, "errorMessage": message}))
}

fn told(status: StatusCode, body: &serde_json::Value) -> Answered {
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    answer
}

/// Returns a W3C trace context as X-Ray writes it: the id of the trace holds the same 128 bits.
fn trace_id(traceparent: &str) -> Option<String> {
    let mut parts = traceparent.split('-').skip(1);
    let (trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1;
    let (time, rest) = trace.split_at_checked(8)?;
    Some(format!("Root=1-{time}-{rest};Parent={parent};Sampled={sampled}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_context_becomes_x_rays() {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let expected = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1";
        assert_eq!(trace_id(traceparent).as_deref(), Some(expected));
        for malformed in ["", "00", "00-é-b-01", "00-0af76519-b7-zz"] {
            assert_eq!(trace_id(malformed), None);
        }
    }
}
