//! What of a message passes.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::echo::values;
use crate::harness::TestGateway;
use crate::raw;

#[tokio::test]
async fn every_answer_carries_a_request_id_and_a_safe_one_of_the_client_is_kept() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    let ask = async |id: &'static str| {
        let request = gateway.request(Method::GET, "/api/v1/functions").bearer_auth(&token);
        let answer = request.header("x-request-id", id).send().await.unwrap();
        let answered = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let echoed: Value = answer.json().await.unwrap();
        assert_eq!(values(&echoed, "x-request-id"), [answered.as_str()]);
        answered
    };
    assert_eq!(ask("order_66-A").await, "order_66-A");
    for unsafe_id in
        ["", "a b", "a;b", "{\"a\":1}", "0123456789012345678901234567890123456789012345678901234567890123x"]
    {
        let answered = ask(unsafe_id).await;
        assert_ne!(answered, unsafe_id);
        assert_eq!(answered.len(), 36, "{answered}");
    }
}

#[tokio::test]
async fn what_belongs_to_the_request_passes() {
    let gateway = TestGateway::start().await;
    let request = gateway
        .request(Method::PATCH, "/api/v1/functions/x?a=%2F&a=b")
        .bearer_auth(gateway.sign_in().token)
        .header("idempotency-key", "k")
        .header("accept", "text/plain")
        .header("x-twice", "1")
        .header("x-twice", "2")
        .body("{}");
    let echoed: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!((&echoed["method"], &echoed["query"]), (&"PATCH".into(), &"a=%2F&a=b".into()));
    assert_eq!(values(&echoed, "idempotency-key"), ["k"]);
    assert_eq!(values(&echoed, "accept"), ["text/plain"]);
    assert_eq!(values(&echoed, "x-twice"), ["1", "2"]);
    assert_eq!(values(&echoed, "content-length"), ["2"]);
    assert_eq!(echoed["length"], 2);
}

#[tokio::test]
async fn a_service_learns_how_long_its_answer_is_waited_for_and_no_client_says_so() {
    let gateway = TestGateway::start().await;
    let request = gateway.request(Method::GET, "/api/v1/functions").bearer_auth(gateway.sign_in().token);
    let request = request.header("x-slipway-timeout-ms", "1");
    let echoed: Value = request.send().await.unwrap().json().await.unwrap();
    let [told] = values(&echoed, "x-slipway-timeout-ms").try_into().unwrap();
    assert!((1..=930_000).contains(&told.parse::<u64>().unwrap()), "{told}");
}

#[tokio::test]
async fn an_answer_passes_without_what_concerns_one_connection_or_the_platform() {
    let (listener, url) = raw::listen().await;
    let gateway = TestGateway::start_with(&[("FUNCTIONS_URL", &url)]).await;
    let asking = gateway.request(Method::GET, "/api/v1/functions").bearer_auth(gateway.sign_in().token);
    let asking = tokio::spawn(asking.send());
    let (mut service, _) = raw::accept_head(&listener).await;
    let head = [
        "HTTP/1.1 502 Bad Gateway",
        "X-Slipway-Function-Outcome: failed",
        "Connection: X-Hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "X-Request-Id: another",
        "X-Kept: 1",
        "X-Kept: 2",
        "Content-Length: 2",
    ];
    service.write_all(format!("{}\r\n\r\n{{}}", head.join("\r\n")).as_bytes()).await.unwrap();

    let answer = asking.await.unwrap().unwrap();

    assert_eq!(answer.status(), 502);
    for name in ["x-slipway-function-outcome", "x-hop", "keep-alive", "connection"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
    assert_ne!(answer.headers()["x-request-id"], "another");
    assert_eq!(answer.headers().get_all("x-kept").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(answer.text().await.unwrap(), "{}");
}

#[tokio::test]
async fn answers_without_a_body_stay_without_one() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    let nothing = gateway.get("/api/v1/functions/nothing", &token).await;
    assert_eq!(nothing.status(), 204);
    assert_eq!(nothing.bytes().await.unwrap().len(), 0);

    let head = gateway.request(Method::HEAD, "/api/v1/functions").bearer_auth(&token).send().await.unwrap();
    assert_eq!(head.status(), 200);
    let length: usize = head.headers()["content-length"].to_str().unwrap().parse().unwrap();
    assert!(length > 0, "the length that GET would have");
    assert_eq!(head.bytes().await.unwrap().len(), 0);
}

#[tokio::test]
async fn an_answer_to_head_of_unknown_length_leaves_the_connection_in_order() {
    let (listener, url) = raw::listen().await;
    let gateway = TestGateway::start_with(&[("FUNCTIONS_URL", &url)]).await;
    let token = gateway.sign_in().token;
    let head = |method: &str| {
        format!("{method} /api/v1/functions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n")
    };
    let mut client = TcpStream::connect(gateway.address).await.unwrap();
    client.write_all(format!("{}\r\n", head("HEAD")).as_bytes()).await.unwrap();
    let (mut service, _) = raw::accept_head(&listener).await;
    service
        .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    raw::read_head(&mut client).await;

    client.write_all(format!("{}Connection: close\r\n\r\n", head("GET")).as_bytes()).await.unwrap();
    let (mut service, _) = raw::accept_head(&listener).await;
    service.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[tokio::test]
async fn methods_that_are_for_proxies_are_refused() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    let answer = gateway.request(Method::TRACE, "/api/v1/functions").bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_go_on_and_one_that_expects_what_nobody_knows_is_refused() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    let head = |expectation: &str| {
        format!(
            "POST /api/v1/functions/deploy HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: 2\r\nExpect: {expectation}\r\nConnection: close\r\n\r\n"
        )
    };
    let mut client = TcpStream::connect(gateway.address).await.unwrap();
    client.write_all(head("100-Continue").as_bytes()).await.unwrap();
    assert_eq!(raw::read_head(&mut client).await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"{}").await.unwrap();
    assert!(raw::read_head(&mut client).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let mut echoed = String::new();
    client.read_to_string(&mut echoed).await.unwrap();
    let echoed: Value = serde_json::from_str(&echoed).unwrap();
    assert_eq!(echoed["length"], 2);
    assert_eq!(values(&echoed, "expect"), [""; 0]);

    let asked = gateway.services.asked.load(Ordering::SeqCst);
    for unknown in ["", "200-maybe", "100-continue, 200-maybe", "100-continue\r\nExpect: 200-maybe"] {
        let answer = raw::exchange(gateway.address, &head(unknown)).await;
        assert!(answer.starts_with("HTTP/1.1 417 Expectation Failed\r\n"), "{unknown:?}: {answer}");
        assert!(answer.contains(r#""code":"expectation_failed""#), "{unknown:?}: {answer}");
    }
    assert_eq!(gateway.services.asked.load(Ordering::SeqCst), asked);
}
