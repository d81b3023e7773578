use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::harness::TestGateway;
use crate::raw;

#[tokio::test]
async fn a_path_that_could_be_read_in_two_ways_is_refused_before_any_rule_looks_at_it() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    for path in [
        "/api/v1/auth/../functions",
        "/api/v1/auth/login/../../functions",
        "/api/v1/functions/%2e%2e/auth",
        "/api/v1/functions/.%2E/auth",
        "/api/v1/functions%2fx",
        "/api/v1/functions/%5c..%5cauth",
        "/api/v1/functions/a\\b",
        "/api/v1/functions/%00",
        "/api//v1/functions",
        "//api/v1/functions",
        "/api/v1/functions/%",
        "/api/v1/functions/%zz",
        "/api/v1/functions/%252e%252e/auth",
        "/api/docs/../v1/functions",
        "http://a/api/v1/functions/../auth",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let answer = raw::exchange(gateway.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
        assert!(answer.contains(r#""code":"invalid_request""#), "{path}: {answer}");
    }
    assert_eq!(gateway.services.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_path_reaches_the_service_in_its_one_form() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    for (path, canonical) in [
        ("/api/functions/%61%7Eb", "/api/v1/functions/a~b"),
        ("/api/v1/functions/a%20%c3%a9", "/api/v1/functions/a%20%C3%A9"),
        ("/api/users/me", "/api/v1/users/me"),
    ] {
        let echoed: Value = gateway.get(path, &token).await.json().await.unwrap();
        assert_eq!(echoed["path"], canonical);
    }
}

#[tokio::test]
async fn what_is_in_no_table_is_not_passed_on() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    for path in
        ["/", "/internal/revocations", "/metrics", "/health/ready", "/api/v1", "/api/v2/functions", "/api/x"]
    {
        assert_eq!(gateway.get(path, &token).await.status(), 404, "{path}");
    }
    assert_eq!(gateway.services.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_could_be_two_requests_is_refused() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    let head = format!("POST /api/v1/functions/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n");
    let hidden = "GET /api/v1/functions/hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    for framing in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nContent-Length: 4\r\n",
        "Content-Length: +4\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Content-Length : 4\r\n",
    ] {
        let answer = raw::exchange(gateway.address, &format!("{head}{framing}\r\n0\r\n\r\n{hidden}")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{framing}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{framing}: {answer}");
    }
    assert_eq!(gateway.services.asked.load(Ordering::SeqCst), 0);
}
