//! Services that are down, break off or are slow, and clients that go away.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{TestGateway, eventually, problem};
use crate::raw;

#[tokio::test]
async fn a_service_that_is_down_is_503_with_retry_after() {
    let (listener, url) = raw::listen().await;
    drop(listener);
    let gateway = TestGateway::start_with(&[("FUNCTIONS_URL", &url)]).await;
    let answer = gateway.get("/api/v1/functions", &gateway.sign_in().token).await;
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(problem(answer).await, (503, "unavailable".to_owned()));
}

#[tokio::test]
async fn a_service_that_breaks_off_before_its_answer_is_502() {
    let (listener, url) = raw::listen().await;
    let gateway = TestGateway::start_with(&[("FUNCTIONS_URL", &url)]).await;
    let request =
        gateway.request(Method::POST, "/api/v1/functions/x/invoke").bearer_auth(gateway.sign_in().token);
    let asking = tokio::spawn(request.body("{}").send());
    drop(raw::accept_head(&listener).await);
    assert_eq!(problem(asking.await.unwrap().unwrap()).await, (502, "upstream_failed".to_owned()));
}

#[tokio::test]
async fn a_service_that_breaks_off_in_its_answer_breaks_the_answer_off() {
    for head in ["content-length: 100\r\n", "transfer-encoding: chunked\r\n"] {
        let (listener, url) = raw::listen().await;
        let gateway = TestGateway::start_with(&[("FUNCTIONS_URL", &url)]).await;
        let asking = gateway.request(Method::GET, "/api/v1/functions").bearer_auth(gateway.sign_in().token);
        let asking = tokio::spawn(asking.send());
        let (mut stream, _) = raw::accept_head(&listener).await;
        stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n5\r\nhello\r\n").as_bytes()).await.unwrap();
        drop(stream);
        let answer = asking.await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.bytes().await.is_err(), "a part must not pass for the whole");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_request_to_the_service() {
    let (listener, url) = raw::listen().await;
    let gateway = TestGateway::start_with(&[("FUNCTIONS_URL", &url)]).await;
    let token = gateway.sign_in().token;
    let mut client = TcpStream::connect(gateway.address).await.unwrap();
    let request =
        format!("GET /api/v1/functions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let (mut service, _) = raw::accept_head(&listener).await;
    drop(client);
    assert_eq!(service.read(&mut [0; 1]).await.unwrap_or(0), 0, "the service sees the end");
}

#[tokio::test]
async fn a_connection_that_the_service_closed_while_it_was_idle_costs_no_request() {
    let (listener, url) = raw::listen().await;
    let gateway = TestGateway::start_with(&[("FUNCTIONS_URL", &url)]).await;
    let token = gateway.sign_in().token;
    for _ in 0..3 {
        let asking = gateway.request(Method::GET, "/api/v1/functions").bearer_auth(&token);
        let asking = tokio::spawn(asking.send());
        let (mut stream, _) = raw::accept_head(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        assert_eq!(asking.await.unwrap().unwrap().text().await.unwrap(), "ok");
    }
}

#[tokio::test]
async fn a_service_that_answers_before_it_has_read_is_heard() {
    let (listener, url) = raw::listen().await;
    let gateway = TestGateway::start_with(&[("FUNCTIONS_URL", &url)]).await;
    let request =
        gateway.request(Method::POST, "/api/v1/functions/deploy").bearer_auth(gateway.sign_in().token);
    let asking = tokio::spawn(request.body(vec![0; 512 * 1024]).send());
    let (mut stream, _) = raw::accept_head(&listener).await;
    stream
        .write_all(b"HTTP/1.1 422 Unprocessable Entity\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        .await
        .unwrap();
    let answer = asking.await.unwrap().unwrap();
    assert_eq!(answer.status(), 422);
    assert_eq!(answer.json::<Value>().await.unwrap(), serde_json::json!({}));
}

#[tokio::test]
async fn an_account_has_so_many_requests_under_way_and_others_are_let_in() {
    let gateway = TestGateway::start_with(&[("GATEWAY_MAX_IN_FLIGHT", "2")]).await;
    let (greedy, other) = (gateway.sign_in().token, gateway.sign_in().token);
    let held = [
        gateway.get("/api/v1/functions/endless", &greedy).await,
        gateway.get("/api/v1/functions/endless", &greedy).await,
    ];

    let refused = gateway.get("/api/v1/functions/x", &greedy).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(problem(refused).await, (429, "too_many_in_flight".to_owned()));
    assert_eq!(gateway.services.asked.load(Ordering::SeqCst), 0);
    assert_eq!(gateway.get("/api/v1/functions/x", &other).await.status(), 200);

    drop(held);
    eventually(async || gateway.get("/api/v1/functions/x", &greedy).await.status() == 200).await;
}

#[tokio::test]
async fn the_gateway_has_so_many_requests_under_way_and_says_when_to_come_again() {
    let gateway = TestGateway::start_with(&[("GATEWAY_MAX_REQUESTS", "1")]).await;
    let held = gateway.get("/api/v1/functions/endless", &gateway.sign_in().token).await;
    let other = gateway.sign_in().token;
    let refused = gateway.get("/api/v1/functions/x", &other).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(problem(refused).await, (503, "overloaded".to_owned()));
    assert_eq!(gateway.services.asked.load(Ordering::SeqCst), 0);
    assert_eq!(
        gateway.request(Method::GET, "/health").send().await.unwrap().status(),
        200,
        "it tells how it is"
    );
    drop(held);
    eventually(async || gateway.get("/api/v1/functions/x", &other).await.status() == 200).await;
}
