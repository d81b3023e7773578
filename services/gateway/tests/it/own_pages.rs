//! What the gateway answers itself.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestGateway, eventually};
use crate::raw;

#[tokio::test]
async fn health_sums_up_the_services_for_anybody() {
    let gateway = TestGateway::start().await;
    let ask = async || {
        let answer = gateway.request(Method::GET, "/health").send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    // An answer from before it was ready may be a second old.
    eventually(async || ask().await.0 == 200).await;
    let expected = json!({
        "status": "ready",
        "services": { "auth": "ready", "functions": "ready", "gateway": "ready" },
    });
    assert_eq!(ask().await.1, expected);
}

#[tokio::test]
async fn health_is_503_when_a_service_is_down() {
    let (listener, url) = raw::listen().await;
    drop(listener);
    let gateway = TestGateway::start_with(&[("FUNCTIONS_OPERATIONS_URL", &url)]).await;
    let answer = gateway.request(Method::GET, "/health").send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.json::<Value>().await.unwrap()["services"]["functions"], "unavailable");
}

#[tokio::test]
async fn the_document_and_its_page_are_served_and_the_page_runs_nothing_foreign() {
    let gateway = TestGateway::start().await;
    for path in ["/api/openapi.json", "/api/v1/openapi.json"] {
        let document: Value = gateway.request(Method::GET, path).send().await.unwrap().json().await.unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    }
    for (path, kind) in [
        ("/api/docs", "text/html; charset=utf-8"),
        ("/api/docs/docs.js", "text/javascript; charset=utf-8"),
        ("/api/docs/docs.css", "text/css; charset=utf-8"),
    ] {
        let answer = gateway.request(Method::GET, path).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (200, kind)
        );
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    }
    let unknown = gateway.request(Method::GET, "/api/docs/other").send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn metrics_go_by_the_template_of_the_route_on_the_private_listener() {
    let gateway = TestGateway::start().await;
    gateway.get("/api/functions/3f0c/executions", &gateway.sign_in().token).await;
    // A request is counted once its answer has left.
    let counted = r#"route="/api/v1/functions",status="2xx",service="gateway"} 1"#;
    eventually(async || gateway.metrics().await.contains(counted)).await;
    assert!(!gateway.metrics().await.contains("3f0c"));
}

#[tokio::test]
async fn metrics_tell_how_much_went_each_way_and_how_long_the_service_took() {
    let gateway = TestGateway::start().await;
    let request = gateway.request(Method::POST, "/api/v1/functions/x").bearer_auth(gateway.sign_in().token);
    let answer = request.body("0123456789").send().await.unwrap().bytes().await.unwrap();
    for line in [
        r#"gateway_received_bytes_total{route="/api/v1/functions",service="gateway"} 10"#.to_owned(),
        format!(
            r#"gateway_sent_bytes_total{{route="/api/v1/functions",service="gateway"}} {}"#,
            answer.len()
        ),
        r#"gateway_upstream_duration_seconds_count{route="/api/v1/functions",service="gateway"} 1"#
            .to_owned(),
        r#"gateway_limited_total{route="/api/v1/functions",service="gateway"} 0"#.to_owned(),
    ] {
        eventually(async || gateway.metrics().await.lines().any(|known| known == line)).await;
    }
}
