use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use reqwest::{Body, Method};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::echo::{PIECE, PIECE_OF_SEVENS};
use crate::harness::{TestGateway, problem};
use crate::raw;

const MIB: usize = 1024 * 1024;

fn pattern(length: usize) -> Vec<u8> {
    (0_u8..=250).cycle().take(length).collect()
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

#[tokio::test]
async fn a_body_arrives_as_it_was_sent_whether_its_length_is_known_or_not() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    for length in [1, 1000, 64 * 1024, 64 * 1024 + 1, 20 * MIB] {
        let sent = pattern(length);
        let expected = (Value::from(length), Value::from(sum(&sent)));
        let pieces: Vec<Result<Bytes, std::io::Error>> =
            sent.chunks(PIECE).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        for body in [Body::from(sent), Body::wrap_stream(stream::iter(pieces))] {
            let request =
                gateway.request(Method::POST, "/api/v1/functions/deploy").bearer_auth(&token).body(body);
            let echoed: Value = request.send().await.unwrap().json().await.unwrap();
            assert_eq!((echoed["length"].clone(), echoed["sum"].clone()), expected);
        }
    }
}

#[tokio::test]
async fn the_connection_goes_on_after_a_long_body_whose_answer_has_none() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    let head = |method: &str, more: &str| {
        format!(
            "{method} /api/v1/functions/nothing HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        )
    };
    let long = head("POST", &format!("Content-Length: {MIB}\r\n")) + &"7".repeat(MIB);
    let both = long + &head("GET", "Connection: close\r\n");
    let answers = raw::exchange(gateway.address, &both).await;
    assert_eq!(answers.matches("HTTP/1.1 204 No Content\r\n").count(), 2, "{answers}");
}

#[tokio::test]
async fn long_bodies_soon_after_each_other_go_over_one_connection() {
    let (gateway, [_, functions]) = TestGateway::start_tapped(&[]).await;
    let token = gateway.sign_in().token;
    let long = |more: &str| {
        let head = format!(
            "POST /api/v1/functions/nothing HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {MIB}\r\n{more}\r\n"
        );
        head + &"7".repeat(MIB)
    };
    let answers = raw::exchange(gateway.address, &(long("") + &long("Connection: close\r\n"))).await;
    assert_eq!(answers.matches("HTTP/1.1 204 No Content\r\n").count(), 2, "{answers}");
    let connections = functions.bytes();
    let posts = |bytes: &Vec<u8>| bytes.windows(5).filter(|five| five == b"POST ").count();
    assert_eq!(connections.iter().map(posts).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_unread_when_it_says_so() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    let head = format!(
        "POST /api/v1/executions/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 65537\r\nConnection: close\r\n\r\n"
    );
    let answer = raw::exchange(gateway.address, &head).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains(r#""code":"body_too_large""#), "{answer}");
    assert_eq!(gateway.services.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_cut_off_when_it_does_not_say_so() {
    let gateway = TestGateway::start().await;
    let pieces = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![1; 4096]))).take(17);
    let request = gateway.request(Method::POST, "/api/v1/executions/x").bearer_auth(gateway.sign_in().token);
    let answer = request.body(Body::wrap_stream(pieces)).send().await.unwrap();
    assert_eq!(problem(answer).await, (413, "body_too_large".to_owned()));
}

#[tokio::test]
async fn a_service_that_takes_nothing_slows_the_client_down() {
    let (listener, url) = raw::listen().await;
    let gateway = TestGateway::start_with(&[("FUNCTIONS_URL", &url)]).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let pieces = stream::repeat_with(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>(Bytes::from_static(&PIECE_OF_SEVENS))
    });
    let request = gateway
        .request(Method::POST, "/api/v1/functions/deploy")
        .bearer_auth(gateway.sign_in().token)
        .body(Body::wrap_stream(pieces.take(60 * MIB / PIECE)));
    let sending = tokio::spawn(request.send());
    let (_connection, head) = raw::accept_head(&listener).await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");

    let stood_at = stands_still(&sent).await * PIECE;
    assert!(stood_at < 40 * MIB, "only what sockets hold is taken, not {stood_at} bytes");
    sending.abort();
}

#[tokio::test]
async fn a_client_that_takes_nothing_slows_the_service_down() {
    let gateway = TestGateway::start().await;
    let answer = gateway.get("/api/v1/functions/endless", &gateway.sign_in().token).await;
    assert_eq!(answer.status(), 200);

    let stood_at = stands_still(&gateway.services.pieces).await * PIECE;
    assert!(stood_at < 40 * MIB, "only what sockets hold is taken, not {stood_at} bytes");

    let mut body = answer.bytes_stream();
    let mut taken = 0;
    while taken < 64 * MIB {
        let piece = body.next().await.unwrap().unwrap();
        assert!(piece.iter().all(|byte| *byte == 7));
        taken += piece.len();
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_long_frees_the_service() {
    let (listener, url) = raw::listen().await;
    let settings = [("FUNCTIONS_URL", url.as_str()), ("GATEWAY_ANSWER_STALL_SECONDS", "1")];
    let gateway = TestGateway::start_with(&settings).await;
    let service = tokio::spawn(async move {
        let (mut connection, _) = raw::accept_head(&listener).await;
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n").await.unwrap();
        while connection.write_all(&PIECE_OF_SEVENS).await.is_ok() {}
    });
    let answer = gateway.get("/api/v1/functions/x", &gateway.sign_in().token).await;
    assert_eq!(answer.status(), 200);

    let freed = tokio::time::timeout(Duration::from_mins(1), service).await;
    assert!(freed.is_ok(), "the service still holds its answer");
    answer.bytes().await.expect_err("what is cut off does not look whole");
}

/// Waits until a count no longer grows; returns it.
async fn stands_still(count: &AtomicUsize) -> usize {
    let mut seen = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = count.load(Ordering::SeqCst);
        if now == seen && now > 0 {
            return now;
        }
        seen = now;
    }
}
