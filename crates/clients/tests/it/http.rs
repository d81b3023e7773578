use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use slipway_clients::{ClientError, Http};

use crate::server::{Server, answer};

const DROPPED: String = String::new();

async fn get(server: &Server) -> Result<Value, ClientError> {
    let http = Http::new(&server.url).unwrap();
    http.json(http.request(Method::GET, "/things")).await
}

#[tokio::test]
async fn a_read_that_got_no_answer_is_sent_again() {
    let server = Server::start(vec![DROPPED, DROPPED, answer("200 OK", "", "{}")]).await;
    assert_eq!(get(&server).await.unwrap(), json!({}));
    assert_eq!(server.received().await.len(), 3);
}

#[tokio::test]
async fn a_read_is_given_up_after_three_attempts() {
    let server = Server::start(vec![DROPPED, DROPPED, DROPPED]).await;
    let fault = get(&server).await.unwrap_err();
    assert!(matches!(fault, ClientError::Unreachable(_)), "{fault:?}");
    assert_eq!(server.received().await.len(), 3);
}

#[tokio::test]
async fn what_may_have_been_carried_out_is_sent_once() {
    let server = Server::start(vec![DROPPED]).await;
    let http = Http::new(&server.url).unwrap();
    let fault = http.send(http.request(Method::POST, "/things").body("{}")).await.unwrap_err();
    assert!(matches!(fault, ClientError::Unreachable(_)), "{fault:?}");
    assert_eq!(server.received().await.len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_as_the_cause() {
    // Port 1 of the loopback: nobody listens there.
    let http = Http::new("http://127.0.0.1:1").unwrap();
    let fault = http.send(http.request(Method::POST, "/things")).await.unwrap_err().to_string();
    assert!(fault.contains("refused"), "{fault}");
}

#[tokio::test]
async fn a_problem_keeps_its_code_its_fields_and_when_to_come_back() {
    let body = json!({
        "type": "about:blank", "title": "Too many requests", "status": 429, "detail": "slow down",
        "code": "rate_limited", "request_id": "r-1", "errors": [{"pointer": "/email", "detail": "is bad"}],
        "a_new_field": true,
    });
    let headers = "content-type: application/problem+json\r\nretry-after: 7\r\n";
    let server = Server::start(vec![answer("429 Too Many Requests", headers, &body.to_string())]).await;

    let fault = get(&server).await.unwrap_err();

    assert_eq!((fault.status(), fault.code()), (Some(429), Some("rate_limited")));
    assert_eq!(fault.to_string(), "slow down");
    assert_eq!(fault.errors()[0].pointer, "/email");
    assert_eq!(fault.problem().unwrap().request_id, "r-1");
    let ClientError::Problem { retry_after, .. } = fault else { unreachable!() };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn an_answer_that_is_not_the_platforms_says_so() {
    for (planned, status, reason) in [
        (answer("502 Bad Gateway", "", "<html>"), 502, "bad gateway"),
        (answer("200 OK", "", "<html>"), 200, "expected value"),
        (answer("302 Found", "location: http://127.0.0.1:1/\r\n", ""), 302, "redirects"),
    ] {
        let server = Server::start(vec![planned]).await;
        let fault = get(&server).await.unwrap_err();
        assert_eq!(fault.status(), Some(status));
        assert!(
            matches!(fault, ClientError::Foreign { .. }) && fault.to_string().contains(reason),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn a_slow_answer_ends_at_the_deadline_and_is_not_asked_for_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = Http::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let request = http.request(Method::GET, "/things").timeout(Duration::from_millis(50));
    assert!(matches!(http.send(request).await, Err(ClientError::TimedOut)));
    listener.accept().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(500), listener.accept()).await.is_err());
}

#[test]
fn urls_that_are_no_server_are_refused() {
    for url in ["", "slipway.example", "ftp://host", "http://user:pw@host", "http://host?x=1", "file:///etc"]
    {
        assert!(Http::new(url).is_err(), "{url}");
    }
    for url in ["http://[::1]:8080", "https://host/prefix/"] {
        assert!(Http::new(url).is_ok(), "{url}");
    }
}
