use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use opentelemetry::{SpanId, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tracing::Dispatch;

use super::{Lines, TRACE_ID, TRACEPARENT, config, request};
use crate::setup::{Guard, subscriber, tracer_provider};
use crate::{TelemetryConfig, end_request, request_span};

/// Takes one request and returns its path and body.
fn receive(listener: &TcpListener) -> (String, Vec<u8>) {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_ascii_lowercase());
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    (head[0].clone(), body)
}

#[tokio::test]
async fn spans_reach_an_otlp_receiver_before_the_guard_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let receiver = thread::spawn(move || receive(&listener));
    let config = TelemetryConfig { otlp_endpoint: Some(endpoint), ..config() };

    let guard = Guard(tracer_provider(&config).unwrap());
    let dispatch = Dispatch::new(subscriber(&config, &guard.0, Lines::default));
    tracing::dispatcher::with_default(&dispatch, || {
        let span = request_span(&request(Some(TRACEPARENT)));
        span.in_scope(|| tracing::info_span!("db").in_scope(|| {}));
        end_request(&span, "GET", "/users/{id}", 500);
    });
    drop(guard);

    let (head, body) = receiver.join().unwrap();
    assert_eq!(head, "post /v1/traces http/1.1");
    let sent = ExportTraceServiceRequest::decode(&*body).unwrap();
    let spans: Vec<&Span> = sent
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans)
        .collect();
    let served = spans.iter().find(|span| span.name == "GET /users/{id}").unwrap();
    let inner = spans.iter().find(|span| span.name == "db").unwrap();
    assert_eq!(served.trace_id, TraceId::from_hex(TRACE_ID).unwrap().to_bytes());
    assert_eq!(served.parent_span_id, SpanId::from_hex("00f067aa0ba902b7").unwrap().to_bytes());
    assert_eq!(inner.parent_span_id, served.span_id);
    assert_eq!(served.status.as_ref().unwrap().code, 2);
}

#[test]
fn an_endpoint_that_is_no_url_is_refused_by_name() {
    let config = TelemetryConfig { otlp_endpoint: Some("not a url".to_owned()), ..config() };
    let fault = crate::init(&config).unwrap_err().to_string();
    assert!(fault.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: "), "{fault}");
}
