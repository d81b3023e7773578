//! Logs, traces and metrics.
//!
//! A program calls [`init`] once and holds the [`Guard`] until it ends. A server opens a [`request_span`] per request;
//! every log line inside it carries `request.id` and `trace_id`, and [`outgoing_headers`] hands both on. Without an
//! OTLP endpoint nothing is recorded, but the ids still pass through.
//!
//! Each service keeps a [`Metrics`] of its own, so that several live in one process.

mod answered;
mod blocking;
mod config;
mod json;
mod lines;
mod metrics;
mod request;
mod setup;
#[cfg(test)]
mod tests;

pub use answered::{Answered, TraceContext, is_routine, log_answered};
pub use blocking::spawn_blocking;
pub use config::{LogFormat, TelemetryConfig};
pub use metrics::{InFlight, Metrics, MetricsError, RouteDurations};
pub use request::{IncomingRequest, end_request, outgoing_headers, request_span};
pub use setup::{Guard, InitError, exports_spans, init};

// What callers hold and observe; one version of the crate for all.
pub use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
