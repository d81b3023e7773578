//! What the gateway counts of each route and of each service.

use slipway_telemetry::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, Metrics, MetricsError, RouteDurations,
};

/// The families, of which each route and each service has its series.
#[derive(Clone)]
pub(crate) struct Families {
    metrics: Metrics,
    received: IntCounterVec,
    sent: IntCounterVec,
    upstream: HistogramVec,
    limited: IntCounterVec,
    retries: IntCounterVec,
    circuits: IntCounterVec,
}

/// The series of a route.
pub(crate) struct RouteSeries {
    /// How long requests took.
    pub(crate) durations: RouteDurations,
    /// Bytes of requests' bodies.
    pub(crate) received: IntCounter,
    /// Bytes of answers' bodies.
    pub(crate) sent: IntCounter,
    /// How long the service took to the head of its answer.
    pub(crate) upstream: Histogram,
    /// Requests that were refused because their caller had asked too often.
    pub(crate) limited: IntCounter,
}

/// The series of a service.
#[derive(Clone)]
pub(crate) struct ServiceSeries {
    /// Requests that were sent a second time.
    pub(crate) retries: IntCounter,
    /// Circuits of its replicas that opened.
    pub(crate) circuits: IntCounter,
}

impl Families {
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        let (route, service) = (&["route"], &["to"]);
        Ok(Self {
            metrics: metrics.clone(),
            received: metrics.counter(
                "gateway_received_bytes_total",
                "Bytes of the bodies of requests.",
                route,
            )?,
            sent: metrics.counter("gateway_sent_bytes_total", "Bytes of the bodies of answers.", route)?,
            upstream: metrics.durations(
                "gateway_upstream_duration_seconds",
                "From a request's begin to the head of the service's answer.",
                route,
            )?,
            limited: metrics.counter(
                "gateway_limited_total",
                "Requests that were refused because their caller had asked too often.",
                route,
            )?,
            retries: metrics.counter(
                "gateway_retries_total",
                "Requests that were sent to a service a second time.",
                service,
            )?,
            circuits: metrics.counter(
                "gateway_circuits_opened_total",
                "Circuits of replicas that opened.",
                service,
            )?,
        })
    }

    /// Makes families that nobody reads.
    #[cfg(any(test, fuzzing))]
    #[expect(clippy::unwrap_used, reason = "these are names of metrics")]
    pub(crate) fn of_nobody() -> Self {
        Self::new(&Metrics::new("gateway").unwrap()).unwrap()
    }

    pub(crate) fn of_route(&self, prefix: &str) -> RouteSeries {
        RouteSeries {
            durations: self.metrics.route(prefix),
            received: self.received.with_label_values(&[prefix]),
            sent: self.sent.with_label_values(&[prefix]),
            upstream: self.upstream.with_label_values(&[prefix]),
            limited: self.limited.with_label_values(&[prefix]),
        }
    }

    pub(crate) fn of_service(&self, name: &str) -> ServiceSeries {
        ServiceSeries {
            retries: self.retries.with_label_values(&[name]),
            circuits: self.circuits.with_label_values(&[name]),
        }
    }
}
