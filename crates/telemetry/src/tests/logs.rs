use serde_json::{Value, json};
use tracing::{Dispatch, Span};

use super::{Lines, TRACE_ID, TRACEPARENT, config, request};
use crate::setup::{subscriber, tracer_provider};
use crate::{TelemetryConfig, end_request, outgoing_headers, request_span};

/// Runs `act` under telemetry of its own and returns the lines that it logged.
fn logged(config: &TelemetryConfig, act: impl FnOnce()) -> Vec<Value> {
    let lines = Lines::default();
    let writer = lines.clone();
    let provider = tracer_provider(config).unwrap();
    let dispatch = Dispatch::new(subscriber(config, &provider, move || writer.clone()));
    tracing::dispatcher::with_default(&dispatch, act);
    lines.read()
}

#[test]
fn a_line_carries_the_fields_of_all_spans_around_it() {
    let lines = logged(&config(), || {
        let span = request_span(&request(Some(TRACEPARENT)));
        span.in_scope(|| {
            let inner = tracing::info_span!("db", db.operation = "user.find", attempt = 1);
            inner.in_scope(|| tracing::info!(attempt = 2, took = 0.5, "found \"it\"\nthere"));
        });
    });
    let mut line = lines[0].clone();
    let time = line.as_object_mut().unwrap().remove("time").unwrap();
    assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    assert_eq!(
        line,
        json!({
            "level": "info",
            "target": "slipway_telemetry::tests::logs",
            "service": "auth",
            "message": "found \"it\"\nthere",
            "attempt": 2,
            "took": 0.5,
            "db.operation": "user.find",
            "request.id": "0190f5c8-0000-7000-8000-000000000001",
            "trace_id": TRACE_ID,
            "http.request.method": "GET",
        })
    );
}

#[test]
fn a_quiet_log_level_does_not_take_the_ids_from_the_lines_that_remain() {
    let quiet = TelemetryConfig { filter: "warn".parse().unwrap(), ..config() };
    let lines = logged(&quiet, || {
        request_span(&request(Some(TRACEPARENT))).in_scope(|| {
            tracing::info!("not this");
            tracing::warn!("this");
        });
    });
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["message"], "this");
    assert_eq!(lines[0]["trace_id"], TRACE_ID);
}

#[test]
fn levels_are_set_by_target() {
    let config = TelemetryConfig { filter: "off,slipway_auth=debug".parse().unwrap(), ..config() };
    let lines = logged(&config, || {
        tracing::debug!(target: "slipway_auth::login", "this");
        tracing::trace!(target: "slipway_auth::login", "not this");
        tracing::error!(target: "other", "nor this");
    });
    assert_eq!(lines.iter().map(|line| &line["message"]).collect::<Vec<_>>(), ["this"]);
}

#[test]
fn a_line_outside_a_request_names_the_program() {
    let lines = logged(&config(), || tracing::info!(time = "forged", level = "forged", "started"));
    assert_eq!(lines[0]["service"], "standalone");
    assert_eq!(lines[0]["level"], "info");
    assert_ne!(lines[0]["time"], "forged");
}

#[test]
fn a_huge_text_is_cut_between_characters() {
    let lines = logged(&config(), || tracing::info!(detail = "ß".repeat(1_000_000), "big"));
    assert_eq!(lines[0]["detail"].as_str().unwrap().len(), 16 * 1024);
}

#[test]
fn the_trace_and_the_request_id_travel_on_without_an_endpoint() {
    logged(&config(), || {
        let _request = request_span(&request(Some(TRACEPARENT))).entered();
        let _inner = tracing::info_span!("call").entered();
        let headers = outgoing_headers();
        let find = |name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let traceparent = find("traceparent").unwrap();
        assert!(traceparent.starts_with(&format!("00-{TRACE_ID}-")), "{traceparent}");
        assert!(traceparent.ends_with("-01") && traceparent != TRACEPARENT, "{traceparent}");
        assert_eq!(find("x-request-id"), Some("0190f5c8-0000-7000-8000-000000000001"));
        assert_eq!(find("tracestate"), None);
    });
}

#[test]
fn a_missing_or_malformed_traceparent_starts_a_trace() {
    for traceparent in
        [None, Some(""), Some("00-0-0-01"), Some("00-zz-\r\n"), Some(&*"0".repeat(9_000).leak())]
    {
        logged(&config(), || {
            let _request = request_span(&request(traceparent)).entered();
            let headers = outgoing_headers();
            let (_, sent) = headers.iter().find(|(name, _)| *name == "traceparent").unwrap();
            assert_eq!(sent.len(), TRACEPARENT.len());
            assert!(!sent.contains(&"0".repeat(32)), "{sent}");
        });
    }
}

#[test]
fn outside_a_request_nothing_is_sent_on() {
    logged(&config(), || assert_eq!(outgoing_headers(), []));
    assert_eq!(outgoing_headers(), []);
}

#[test]
fn the_end_of_a_request_is_on_the_lines_after_it() {
    let lines = logged(&config(), || {
        let span = request_span(&request(None));
        end_request(&span, "GET", "/users/{id}", 503);
        span.in_scope(|| tracing::error!("answered"));
    });
    assert_eq!(lines[0]["http.route"], "/users/{id}");
    assert_eq!(lines[0]["http.response.status_code"], 503);
    assert_eq!(lines[0].get("otel.kind"), None);
}

#[tokio::test]
async fn blocking_work_stays_inside_the_span() {
    let lines = Lines::default();
    let writer = lines.clone();
    let provider = tracer_provider(&config()).unwrap();
    let dispatch = Dispatch::new(subscriber(&config(), &provider, move || writer.clone()));
    let span: Span =
        tracing::dispatcher::with_default(&dispatch, || request_span(&request(Some(TRACEPARENT))));

    let of_the_thread = dispatch.clone();
    crate::spawn_blocking(span, move || {
        tracing::dispatcher::with_default(&of_the_thread, || tracing::info!("hashed"));
    })
    .await
    .unwrap();

    assert_eq!(lines.read()[0]["trace_id"], TRACE_ID);
}
