use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::Value;

use crate::echo::values;
use crate::harness::{TestGateway, access_key, issuer, problem, sign_in, sign_in_to};
use crate::raw;

#[tokio::test]
async fn a_caller_who_signed_in_reaches_the_service_under_a_signed_identity() {
    let gateway = TestGateway::start().await;
    let caller = gateway.sign_in();

    let echoed: Value = gateway.get("/api/functions?limit=2", &caller.token).await.json().await.unwrap();

    assert_eq!((&echoed["path"], &echoed["query"]), (&"/api/v1/functions".into(), &"limit=2".into()));
    assert_eq!(echoed["identity"], true);
    assert_eq!(values(&echoed, "x-user-id"), [caller.user_id.to_string()]);
    assert_eq!(values(&echoed, "x-forwarded-for"), ["127.0.0.1"]);
    assert!(!echoed.to_string().contains(&caller.token), "no service sees the caller's token");
}

#[tokio::test]
async fn a_proxy_that_is_trusted_says_who_the_client_is() {
    let gateway = TestGateway::start_with(&[("GATEWAY_TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.1")]).await;
    let request = gateway.request(Method::GET, "/api/functions").bearer_auth(gateway.sign_in().token);

    let request = request.header("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.0.0.1");
    let echoed: Value = request.send().await.unwrap().json().await.unwrap();

    assert_eq!(values(&echoed, "x-forwarded-for"), ["198.51.100.7"]);
}

#[tokio::test]
async fn a_service_learns_what_the_client_asked_for_and_by_what() {
    let gateway = TestGateway::start_with(&[("GATEWAY_TRUSTED_PROXIES", "127.0.0.1")]).await;
    let token = gateway.sign_in().token;
    let request = gateway.request(Method::GET, "/api/functions").bearer_auth(&token);
    let request = request.header("x-forwarded-proto", "https").header("host", "slipway.example.org");
    let echoed: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(values(&echoed, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&echoed, "x-forwarded-host"), ["slipway.example.org"]);
    assert_eq!(values(&echoed, "forwarded"), [r#"for=127.0.0.1;host="slipway.example.org";proto=https"#]);
    assert_eq!(values(&echoed, "via"), ["1.1 slipway"]);

    let gateway = TestGateway::start().await;
    let request = gateway.request(Method::GET, "/api/functions").bearer_auth(gateway.sign_in().token);
    let echoed: Value =
        request.header("x-forwarded-proto", "https").send().await.unwrap().json().await.unwrap();
    assert_eq!(
        values(&echoed, "x-forwarded-proto"),
        ["http"],
        "of whoever is not trusted it is not believed"
    );
}

#[tokio::test]
async fn what_a_client_says_of_itself_changes_nothing() {
    let gateway = TestGateway::start().await;
    let caller = gateway.sign_in();
    let spoofed = [
        "X-User-Id: root",
        "x-user-id: root",
        "X_USER_ID: root",
        "x-user_id: root",
        "X-User-Type: root",
        "X-Slipway-Identity: root",
        "x_slipway_subject: root",
        "Forwarded: for=root",
        "X-Forwarded-For: root",
        "X-Forwarded-User: root",
        "X_Forwarded_For: root",
        "X-Real-IP: root",
        "X-Api-Key: root",
        "Cookie: __Host-slipway_access=root",
        "Proxy-Authorization: Bearer root",
        "TE: root",
        "X-Hop: root",
        "Connection: close, X-Hop, X-User-Id, Authorization, X-Request-Id, X-Forwarded-For",
    ]
    .join("\r\n");
    let token = &caller.token;
    let request = format!(
        "GET /api/v1/functions HTTP/1.1\r\nHost: slipway.example\r\nAuthorization: Bearer {token}\r\n{spoofed}\r\n\r\n"
    );

    let answer = raw::exchange(gateway.address, &request).await;

    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let echoed: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert!(!echoed["headers"].to_string().contains("root"), "{echoed}");
    assert_eq!(echoed["identity"], true);
    assert_eq!(values(&echoed, "x-user-id"), [caller.user_id.to_string()]);
    assert_eq!(values(&echoed, "authorization").len(), 1);
    assert_eq!(values(&echoed, "x-request-id").len(), 1);
}

#[tokio::test]
async fn a_public_route_is_open_and_carries_no_identity() {
    let gateway = TestGateway::start().await;
    let caller = gateway.sign_in();
    for path in ["/api/login", "/api/v1/auth/register", "/api/v1/auth/refresh"] {
        let request =
            gateway.request(Method::POST, path).bearer_auth(&caller.token).header("x-user-id", "root");
        let echoed: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(echoed["identity"], Value::Null, "{path}");
        assert!(values(&echoed, "x-user-id").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn without_a_token_nothing_passes() {
    let gateway = TestGateway::start().await;
    for authorization in [None, Some("Basic YTpi"), Some("Bearer"), Some("")] {
        let mut request = gateway.request(Method::GET, "/api/v1/users/me");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["www-authenticate"], r#"Bearer realm="slipway""#);
        assert_eq!(problem(answer).await, (401, "unauthenticated".to_owned()));
    }
    assert_eq!(gateway.services.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_by_what_is_wrong_with_it() {
    let gateway = TestGateway::start().await;
    let good = gateway.sign_in().token;
    let stranger = sign_in(&issuer(access_key(1), &gateway.clock)).token;
    let (message, _) = good.rsplit_once('.').unwrap();
    // {"alg":"none","kid":"x"} and {}
    let unsigned = "eyJhbGciOiJub25lIiwia2lkIjoieCJ9.e30.";
    for token in ["x", unsigned, &stranger, &format!("{message}.AAAA"), &"a".repeat(20_000)] {
        let answer = gateway.get("/api/v1/functions", token).await;
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.starts_with(r#"Bearer realm="slipway", error="invalid_token", "#), "{challenge}");
        assert_eq!(problem(answer).await, (401, "token_invalid".to_owned()));
    }

    assert_eq!(gateway.get("/api/v1/functions", &good).await.status(), 200);
    gateway.clock.advance(TimeDelta::minutes(61));
    let answer = gateway.get("/api/v1/functions", &good).await;
    assert_eq!(problem(answer).await, (401, "token_expired".to_owned()));
    assert_eq!(gateway.services.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn two_credentials_are_one_too_many() {
    let gateway = TestGateway::start().await;
    let token = gateway.sign_in().token;
    let request = gateway.request(Method::GET, "/api/v1/functions").bearer_auth(&token).bearer_auth(&token);
    assert_eq!(problem(request.send().await.unwrap()).await, (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn an_app_that_was_not_granted_is_refused() {
    let gateway = TestGateway::start().await;
    let caller = sign_in_to(&gateway.issuer, &["vault"]);
    let answer = gateway.get("/api/v1/executions", &caller.token).await;
    assert_eq!(problem(answer).await, (403, "forbidden".to_owned()));
    assert_eq!(gateway.get("/api/v1/users/me", &caller.token).await.status(), 200);
}
