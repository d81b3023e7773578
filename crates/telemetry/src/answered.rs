//! The line of a request in the log, for a server that answers more of them than spans could keep up with.
//!
//! Without an OTLP endpoint nobody reads a span but the log. So such a server makes none: it passes the trace's ids on by
//! itself, and writes the line that [`crate::request_span`] and an event in it would come to.

use std::cell::Cell;
use std::time::Duration;

use slipway_kernel::{Clock as _, SystemClock};

use crate::lines;

/// What is known of a request once it is answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The service that answered it.
    pub service: &'static str,
    /// The request's id.
    pub request_id: &'a str,
    /// The trace that it belongs to.
    pub trace: Option<&'a TraceContext>,
    /// The HTTP method.
    pub method: &'a str,
    /// The route's template.
    pub route: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// Whether a status over 499 is a fault of the platform's own.
    pub is_own_fault: bool,
    /// From the request's head to the answer's last byte.
    pub duration: Duration,
    /// How long a service behind took to the head of its answer, where one was asked.
    pub upstream: Option<Duration>,
    /// Bytes of the bodies of the request and of the answer.
    pub bytes: (u64, u64),
    /// The stable code of the problem that was answered.
    pub error_code: Option<&'a str>,
    /// Its cause.
    pub error_cause: Option<&'a str>,
}

/// Where a request stands in a trace (W3C Trace Context, version 00).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// Goes on with the trace that a caller names, or begins one that nobody records.
    pub fn of(traceparent: Option<&str>) -> Self {
        Self::going_on(traceparent).0
    }

    /// Does the same, and tells whether it goes on with one.
    pub(crate) fn going_on(traceparent: Option<&str>) -> (Self, bool) {
        let given = traceparent.and_then(Self::read);
        let (trace_id, flags) = given.unwrap_or_else(|| (fastrand::u128(1..), 0));
        (Self { trace_id, span_id: fastrand::u64(1..), flags }, given.is_some())
    }

    /// Takes the place in a trace that a `traceparent` names as one's own.
    pub fn exactly(traceparent: &str) -> Option<Self> {
        let (trace_id, flags) = Self::read(traceparent)?;
        let span_id = u64::from_str_radix(traceparent.split('-').nth(2)?, 16).ok()?;
        Some(Self { trace_id, span_id, flags })
    }

    /// Returns the `traceparent` that goes with what the request makes others do: ASCII.
    pub fn traceparent(&self) -> [u8; 55] {
        let mut text = *b"00-................................-................-..";
        text[3..35].copy_from_slice(&self.trace_id_text());
        // It fails only where the text is not twice as long as the bytes.
        let _ = hex::encode_to_slice(self.span_id.to_be_bytes(), &mut text[36..52]);
        let _ = hex::encode_to_slice([self.flags], &mut text[53..]);
        text
    }

    /// Returns the id of the trace, as logs show it.
    pub(crate) fn trace_id(&self) -> String {
        hex::encode(self.trace_id.to_be_bytes())
    }

    fn trace_id_text(&self) -> [u8; 32] {
        let mut text = [0; 32];
        let _ = hex::encode_to_slice(self.trace_id.to_be_bytes(), &mut text);
        text
    }

    /// Reads the trace's id and flags.
    fn read(text: &str) -> Option<(u128, u8)> {
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_whole = version == "00" && parts.next().is_none();
        if !is_whole
            || [trace, span, flags].map(str::len) != [32, 16, 2]
            || ![trace, span, flags].into_iter().all(is_hex)
        {
            return None;
        }
        let trace_id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        Some((trace_id, u8::from_str_radix(flags, 16).ok()?))
    }
}

/// Writes the one line of a request.
pub fn log_answered(answered: &Answered<'_>) {
    let is_fault = answered.status >= 500 && answered.is_own_fault;
    if !is_fault && !is_routine(answered.route) && lines::are_gathered() {
        if tracing::enabled!(tracing::Level::INFO) {
            let time = SystemClock.now();
            lines::gather(|waiting| write_line(waiting, answered, time));
        }
        return;
    }
    let Answered { service, request_id, method, route, status, error_code, error_cause, .. } = *answered;
    let trace_id = answered.trace.map(TraceContext::trace_id);
    let duration_ms = milliseconds(answered.duration);
    macro_rules! line {
        ($log:ident) => {
            tracing::$log!(
                duration_ms,
                error.code = error_code,
                error.cause = error_cause,
                service,
                request.id = request_id,
                trace_id,
                http.request.method = method,
                http.route = route,
                http.response.status_code = status,
                "answered"
            )
        };
    }
    if is_fault {
        line!(error);
    } else if is_routine(route) {
        line!(debug);
    } else {
        line!(info);
    }
}

/// Tells the routes that programs ask all the time: a line for each answer would bury the others.
pub fn is_routine(route: &str) -> bool {
    route == "/health" || route.starts_with("/internal/")
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Writes what [`crate::json`] would of a span and its event.
fn write_line(to: &mut Vec<u8>, answered: &Answered<'_>, time: chrono::DateTime<chrono::Utc>) {
    to.extend_from_slice(b"{\"time\":\"");
    write_time(to, time);
    let mut text = |name: &str, value: &str| {
        to.extend_from_slice(name.as_bytes());
        // What it escapes it escapes into a buffer: that cannot fail.
        let _ = serde_json::to_writer(&mut *to, value);
    };
    text(
        "\",\"level\":\"info\",\"target\":\"slipway_telemetry\",\"message\":\"answered\",\"service\":",
        answered.service,
    );
    text(",\"request.id\":", answered.request_id);
    text(",\"http.request.method\":", answered.method);
    text(",\"http.route\":", answered.route);
    if let Some(code) = answered.error_code {
        text(",\"error.code\":", code);
    }
    if let Some(cause) = answered.error_cause {
        text(",\"error.cause\":", cause);
    }
    let mut number = |name: &str, value: u64| {
        to.extend_from_slice(name.as_bytes());
        to.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    };
    let (received, sent) = answered.bytes;
    number(",\"http.response.status_code\":", answered.status.into());
    number(",\"duration_ms\":", milliseconds(answered.duration));
    number(",\"bytes.received\":", received);
    number(",\"bytes.sent\":", sent);
    if let Some(upstream) = answered.upstream {
        number(",\"upstream_ms\":", milliseconds(upstream));
    }
    if let Some(trace) = answered.trace {
        to.extend_from_slice(b",\"trace_id\":\"");
        to.extend_from_slice(&trace.trace_id_text());
        to.push(b'"');
    }
    to.extend_from_slice(b"}\n");
}

thread_local! {
    /// The last second that a time was written of, and how it is written.
    static SECOND: Cell<(i64, [u8; 20])> = const { Cell::new((i64::MIN, [0; 20])) };
}

/// Writes a time as RFC 3339 has it, to the microsecond.
fn write_time(to: &mut Vec<u8>, time: chrono::DateTime<chrono::Utc>) {
    let second = time.timestamp();
    let (known, mut text) = SECOND.get();
    if known != second {
        let written = time.format("%Y-%m-%dT%H:%M:%S.").to_string();
        text.copy_from_slice(&written.as_bytes()[..20]);
        SECOND.set((second, text));
    }
    to.extend_from_slice(&text);
    // A digit before them keeps the zeros that they begin with.
    let micros = 1_000_000 + time.timestamp_subsec_micros() % 1_000_000;
    to.extend_from_slice(&itoa::Buffer::new().format(micros).as_bytes()[1..]);
    to.push(b'Z');
}
