//! Prometheus metrics, one registry per service.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// From half a millisecond to a minute, in seconds: a warm call and a slow build both find their place.
const DURATION_BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Says that a metric could not be added: its name is invalid or taken. A fault of the code, never of the input.
#[derive(Debug, thiserror::Error)]
#[error("cannot add the metric: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// The metrics of one service; clones share them. Every series carries the label `service`.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    requests: Arc<HistogramVec>,
    active: IntGauge,
}

impl Metrics {
    /// Makes the registry of `service` with the metrics that all have: of its HTTP server and of the process.
    pub fn new(service: &str) -> Result<Self, MetricsError> {
        let labels = HashMap::from([("service".to_owned(), service.to_owned())]);
        let registry = Registry::new_custom(None, Some(labels))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let requests = HistogramVec::new(
            HistogramOpts::new("http_server_request_duration_seconds", "Time to answer a request.")
                .buckets(DURATION_BUCKETS.to_vec()),
            &["method", "route", "status"],
        )?;
        let active = IntGauge::new("http_server_active_requests", "Requests being answered.")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(active.clone()))?;
        Ok(Self { registry, requests: Arc::new(requests), active })
    }

    /// Adds a counter. By custom its name ends in `_total`.
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, MetricsError> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// Adds a gauge.
    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, MetricsError> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// Adds a histogram of durations in seconds. By custom its name ends in `_seconds`.
    pub fn durations(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, MetricsError> {
        let options = HistogramOpts::new(name, help).buckets(DURATION_BUCKETS.to_vec());
        self.add(HistogramVec::new(options, labels)?)
    }

    /// Counts a request in. Dropping the answer without [`InFlight::finish`] counts it out again and records no
    /// duration.
    pub fn begin_request(&self) -> InFlight {
        self.active.inc();
        InFlight { requests: Arc::clone(&self.requests), active: self.active.clone(), since: Instant::now() }
    }

    /// Names the durations of a route's requests. `route` is the route's template, so that the number of series stays small.
    pub fn route(&self, route: &str) -> RouteDurations {
        RouteDurations {
            requests: Arc::clone(&self.requests),
            route: route.into(),
            known: Default::default(),
        }
    }

    /// Writes all metrics in Prometheus' text format (0.0.4).
    pub fn render(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }

    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, MetricsError> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct InFlight {
    requests: Arc<HistogramVec>,
    active: IntGauge,
    since: Instant,
}

impl InFlight {
    /// Records the request's duration. `route` is the route's template, so that the number of series stays small; so
    /// do an unknown `method`, recorded as `OTHER`, and the status, recorded by its class.
    pub fn finish(self, method: &str, route: &str, status: u16) {
        let labels = [METHODS[method_index(method)], route, STATUSES[status_index(status)]];
        self.requests.with_label_values(&labels).observe(self.since.elapsed().as_secs_f64());
    }

    /// Records it likewise, of a route whose durations are named.
    pub fn finish_in(self, route: &RouteDurations, method: &str, status: u16) {
        route.of(method_index(method), status_index(status)).observe(self.since.elapsed().as_secs_f64());
    }
}

/// The durations of one route's requests, which takes no look at labels once they were found.
#[derive(Debug)]
pub struct RouteDurations {
    requests: Arc<HistogramVec>,
    route: Box<str>,
    known: [[OnceLock<Histogram>; STATUSES.len()]; METHODS.len()],
}

impl RouteDurations {
    fn of(&self, method: usize, status: usize) -> &Histogram {
        let labels = [METHODS[method], &self.route, STATUSES[status]];
        self.known[method][status].get_or_init(|| self.requests.with_label_values(&labels))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.active.dec();
    }
}

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER"];
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

fn method_index(method: &str) -> usize {
    METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1)
}

fn status_index(status: u16) -> usize {
    match status {
        100..500 => usize::from(status / 100 - 1),
        _ => STATUSES.len() - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_measured_by_route_and_kept_few() {
        let metrics = Metrics::new("auth").unwrap();
        metrics.begin_request().finish("GET", "/users/{id}", 204);
        metrics.begin_request().finish_in(&metrics.route("/users/{id}"), "BREW\n", 418);
        let open = metrics.begin_request();
        let text = metrics.render().unwrap();
        for line in [
            r#"http_server_request_duration_seconds_count{method="GET",route="/users/{id}",status="2xx",service="auth"} 1"#,
            r#"http_server_request_duration_seconds_count{method="OTHER",route="/users/{id}",status="4xx",service="auth"} 1"#,
            r#"http_server_active_requests{service="auth"} 1"#,
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
        assert!(text.contains(r#"le="0.0005""#) && text.contains(r#"le="60""#), "{text}");
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
        drop(open);
        assert!(metrics.render().unwrap().contains(r#"http_server_active_requests{service="auth"} 0"#));
    }

    #[test]
    fn services_in_one_process_share_no_series() {
        let auth = Metrics::new("auth").unwrap();
        let functions = Metrics::new("functions").unwrap();
        for metrics in [&auth, &functions] {
            let calls = metrics.counter("calls_total", "Calls.", &["kind"]).unwrap();
            calls.with_label_values(&["warm"]).inc();
        }
        assert!(auth.render().unwrap().contains(r#"calls_total{kind="warm",service="auth"} 1"#));
        assert!(!auth.render().unwrap().contains("functions"));
    }

    #[test]
    fn a_name_can_be_taken_once() {
        let metrics = Metrics::new("auth").unwrap();
        metrics.gauge("pool_connections", "Open connections.", &[]).unwrap();
        assert!(metrics.durations("pool_connections", "Something else.", &[]).is_err());
    }
}
