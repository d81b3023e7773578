//! The span of a request, and what of it travels on: W3C Trace Context and the request id.

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::span::Id;
use tracing::{Dispatch, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::registry::LookupSpan as _;
use tracing_subscriber::{Layer, Registry};

use crate::TraceContext;

/// A request as it came in.
#[derive(Debug, Clone, Copy)]
pub struct IncomingRequest<'a> {
    /// The service that answers it.
    pub service: &'static str,
    /// The HTTP method.
    pub method: &'a str,
    /// The request's id, already made or accepted.
    pub request_id: &'a str,
    /// The `traceparent` header; one that is malformed starts a new trace.
    pub traceparent: Option<&'a str>,
    /// The `tracestate` header.
    pub tracestate: Option<&'a str>,
}

impl Extractor for IncomingRequest<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent,
            "tracestate" => self.tracestate,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// The request id, as it rides along in the context of a span and of all spans below it.
struct RequestIdOf(String);

/// Stands in the place of the layer that exports spans: without an endpoint they hold what log lines say, and this.
pub(crate) struct PassingOn;

impl<S: Subscriber> Layer<S> for PassingOn {}

/// What of a request travels on with its span, and with all spans below it, where none is exported.
struct Passed {
    trace: TraceContext,
    tracestate: Option<String>,
    request_id: String,
}

impl Passed {
    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::with_capacity(3);
        headers.push(("traceparent", String::from_utf8_lossy(&self.trace.traceparent()).into_owned()));
        headers.extend(self.tracestate.clone().map(|state| ("tracestate", state)));
        headers.push(("x-request-id", self.request_id.clone()));
        headers
    }
}

/// Returns the registry where spans are kept and none is exported.
fn passing_on(dispatch: &Dispatch) -> Option<&Registry> {
    dispatch.downcast_ref::<PassingOn>()?;
    dispatch.downcast_ref()
}

/// Opens the span of a request: a child of the caller's, or the root of a new trace.
///
/// `user.id` may be recorded on it later; [`end_request`] records the rest.
pub fn request_span(request: &IncomingRequest<'_>) -> Span {
    let span = tracing::info_span!(
        "request",
        service = request.service,
        request.id = request.request_id,
        trace_id = Empty,
        http.request.method = request.method,
        http.route = Empty,
        http.response.status_code = Empty,
        user.id = Empty,
        otel.kind = "server",
        otel.status_code = Empty,
    );
    if let Some(trace_id) = pass_on(&span, request) {
        span.record("trace_id", trace_id);
        return span;
    }
    let parent = TraceContextPropagator::new()
        .extract_with_context(&Context::new(), request)
        .with_value(RequestIdOf(request.request_id.to_owned()));
    // It fails only where nothing traces: a program, or a test, that has not called `init`.
    if span.set_parent(parent).is_ok() {
        let trace_id = span.context().span().span_context().trace_id();
        if trace_id != TraceId::INVALID {
            span.record("trace_id", tracing::field::display(trace_id));
        }
    }
    span
}

/// Keeps what of a request travels on with its span, and returns the id of its trace; `None` where spans are exported, or
/// nothing is kept at all.
fn pass_on(span: &Span, request: &IncomingRequest<'_>) -> Option<String> {
    let keep = |(id, dispatch): (&Id, &Dispatch)| {
        let kept = passing_on(dispatch)?.span(id)?;
        let (trace, goes_on) = TraceContext::going_on(request.traceparent);
        let trace_id = trace.trace_id();
        let tracestate = request.tracestate.filter(|state| goes_on && !state.is_empty()).map(str::to_owned);
        let request_id = request.request_id.to_owned();
        kept.extensions_mut().insert(Passed { trace, tracestate, request_id });
        Some(trace_id)
    };
    span.with_subscriber(keep).flatten()
}

/// Records how a request ended. `route` is the route's template, never the path: paths hold ids.
pub fn end_request(span: &Span, method: &str, route: &str, status: u16) {
    let is_passed = span.with_subscriber(|(_, dispatch)| passing_on(dispatch).is_some());
    if is_passed == Some(false) {
        span.context().span().update_name(format!("{method} {route}"));
    }
    span.record("http.route", route);
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// Returns the headers that a request made inside the current span carries: `traceparent`, `tracestate` and
/// `x-request-id`, as far as they are known. Names and values are plain text, so that they suit any HTTP library.
pub fn outgoing_headers() -> Vec<(&'static str, String)> {
    let span = Span::current();
    let passed = |(id, dispatch): (&Id, &Dispatch)| {
        let mut scope = passing_on(dispatch)?.span(id)?.scope();
        scope.find_map(|span| span.extensions().get().map(Passed::headers))
    };
    if let Some(headers) = span.with_subscriber(passed).flatten() {
        return headers;
    }
    let context = span.context();
    let mut headers = OutgoingHeaders(Vec::with_capacity(3));
    TraceContextPropagator::new().inject_context(&context, &mut headers);
    if let Some(RequestIdOf(id)) = context.get() {
        headers.0.push(("x-request-id", id.clone()));
    }
    headers.0
}

struct OutgoingHeaders(Vec<(&'static str, String)>);

impl Injector for OutgoingHeaders {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "traceparent" => self.0.push(("traceparent", value)),
            "tracestate" if !value.is_empty() => self.0.push(("tracestate", value)),
            _ => {}
        }
    }
}
