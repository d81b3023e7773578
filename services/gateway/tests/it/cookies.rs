//! Tokens in cookies: who may use them, and who gets to see them.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::echo::values;
use crate::harness::{TestGateway, problem};

const ACCESS: &str = "__Host-slipway_access";

/// The gateway's own origin: on this machine it may do without TLS.
fn own_origin(gateway: &TestGateway) -> String {
    format!("http://{}", gateway.address)
}

fn with_cookie(gateway: &TestGateway, method: Method, path: &str, token: &str) -> RequestBuilder {
    gateway.request(method, path).header("cookie", format!("theme=dark; {ACCESS}={token}; x=y"))
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn an_access_token_in_a_cookie_is_as_good_as_in_a_header_and_no_service_sees_it() {
    let gateway = TestGateway::start().await;
    let caller = gateway.sign_in();
    let answer = with_cookie(&gateway, Method::GET, "/api/v1/functions", &caller.token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let echoed: Value = answer.json().await.unwrap();
    assert_eq!(values(&echoed, "x-user-id"), [caller.user_id.to_string()]);
    assert!(values(&echoed, "cookie").is_empty());
    assert!(values(&echoed, "x-slipway-origin").is_empty());

    let forged = with_cookie(&gateway, Method::GET, "/api/v1/functions", "a.b.c").send().await.unwrap();
    assert_eq!(problem(forged).await, (401, "token_invalid".to_owned()));
    let twice = format!("{ACCESS}=a; {ACCESS}=b");
    let doubled = gateway.request(Method::GET, "/api/v1/functions").header("cookie", twice);
    assert_eq!(status(doubled).await, 400);
}

#[tokio::test]
async fn a_header_counts_alone_whatever_cookie_comes_with_it() {
    let gateway = TestGateway::start().await;
    let (by_header, by_cookie) = (gateway.sign_in(), gateway.sign_in());
    let both = with_cookie(&gateway, Method::POST, "/api/v1/functions", &by_cookie.token);
    let answer = both.bearer_auth(&by_header.token).send().await.unwrap();
    assert_eq!(answer.status(), 200, "no origin is asked for");
    let echoed: Value = answer.json().await.unwrap();
    assert_eq!(values(&echoed, "x-user-id"), [by_header.user_id.to_string()]);

    let both = with_cookie(&gateway, Method::GET, "/api/v1/functions", &by_cookie.token);
    assert_eq!(status(both.bearer_auth("a.b.c")).await, 401, "the cookie does not step in");
}

#[tokio::test]
async fn what_changes_something_by_cookie_must_come_from_an_origin_that_is_allowed() {
    let gateway = TestGateway::start_with(&[("GATEWAY_ORIGINS", "https://console.example.org")]).await;
    let caller = gateway.sign_in();
    let own = own_origin(&gateway);
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let request = || with_cookie(&gateway, method.clone(), "/api/v1/functions/x", &caller.token);
        for origin in [&own, "https://console.example.org"] {
            assert_eq!(status(request().header("origin", origin)).await, 200, "{method} {origin}");
        }
        for origin in
            ["https://evil.example", "null", "http://console.example.org", "https://console.example.org:443"]
        {
            let answer = request().header("origin", origin).send().await.unwrap();
            assert_eq!(problem(answer).await, (403, "origin_refused".to_owned()), "{method} {origin}");
        }
        assert_eq!(status(request()).await, 403, "{method} without an origin");
    }
    let look = with_cookie(&gateway, Method::GET, "/api/v1/functions", &caller.token);
    assert_eq!(status(look.header("origin", "https://evil.example")).await, 200, "looking changes nothing");
}

#[tokio::test]
async fn the_handshake_of_a_websocket_must_come_from_an_origin_that_is_allowed() {
    let gateway = TestGateway::start().await;
    let caller = gateway.sign_in();
    let handshake =
        |request: RequestBuilder| request.header("connection", "upgrade").header("upgrade", "WebSocket");
    let by_cookie = || handshake(with_cookie(&gateway, Method::GET, "/api/v1/functions", &caller.token));
    assert_eq!(status(by_cookie().header("origin", own_origin(&gateway))).await, 200);
    assert_eq!(status(by_cookie()).await, 403);
    assert_eq!(status(by_cookie().header("origin", "https://evil.example")).await, 403);

    let by_header =
        || handshake(gateway.request(Method::GET, "/api/v1/functions")).bearer_auth(&caller.token);
    assert_eq!(status(by_header()).await, 200, "a program has no origin");
    assert_eq!(status(by_header().header("origin", "https://evil.example")).await, 403);
}

#[tokio::test]
async fn the_refresh_cookie_reaches_auths_refresh_and_logout_and_nobody_else() {
    let gateway = TestGateway::start().await;
    let caller = gateway.sign_in();
    let cookies = format!("a=b; {ACCESS}={}; __Host-slipway_refresh=r", caller.token);
    let own = own_origin(&gateway);
    for (path, passes, told) in [
        ("/api/v1/auth/refresh", true, true),
        ("/api/v1/auth/logout", true, true),
        ("/api/v1/auth/login", false, true),
        ("/api/v1/auth/register", false, false),
        ("/api/v1/auth/logout-all", false, false),
        ("/api/v1/functions", false, false),
        ("/f/ada/hello", false, false),
    ] {
        let request = gateway.request(Method::POST, path).header("cookie", &cookies).header("origin", &own);
        let forged = request.header("x-slipway-origin", "allowed").header("x_slipway_origin", "allowed");
        let echoed: Value = forged.send().await.unwrap().json().await.unwrap();
        let expected: &[&str] = if passes { &["__Host-slipway_refresh=r"] } else { &[] };
        assert_eq!(values(&echoed, "cookie"), expected, "{path}");
        let expected: &[&str] = if told { &["allowed"] } else { &[] };
        assert_eq!(values(&echoed, "x-slipway-origin"), expected, "{path}");
    }
}

#[tokio::test]
async fn auth_is_not_told_that_another_sites_page_may_use_cookies() {
    let gateway = TestGateway::start().await;
    for path in ["/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/auth/logout"] {
        let request = gateway.request(Method::POST, path).header("cookie", "__Host-slipway_refresh=r");
        let forged = request.header("x-slipway-origin", "allowed").header("origin", "https://evil.example");
        let echoed: Value = forged.send().await.unwrap().json().await.unwrap();
        assert!(values(&echoed, "x-slipway-origin").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_browser_whose_access_token_is_over_may_still_sign_out() {
    let gateway = TestGateway::start().await;
    let logout = |cookies: &str| {
        let request = gateway.request(Method::POST, "/api/v1/auth/logout").header("cookie", cookies);
        request.header("origin", own_origin(&gateway))
    };
    for cookies in ["__Host-slipway_refresh=r", "__Host-slipway_refresh=r; __Host-slipway_access=a.b.c"] {
        let answer = logout(cookies).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{cookies}");
        let echoed: Value = answer.json().await.unwrap();
        assert!(values(&echoed, "x-user-id").is_empty() && values(&echoed, "authorization").is_empty());
    }
    assert_eq!(status(logout("__Host-slipway_access=a.b.c")).await, 401);
    assert_eq!(status(logout("__Host-slipway_refresh=r").bearer_auth("a.b.c")).await, 401);
}

#[tokio::test]
async fn functions_take_no_cookies() {
    let gateway = TestGateway::start().await;
    let caller = gateway.sign_in();
    let answer = with_cookie(&gateway, Method::POST, "/f/ada/hello", &caller.token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let echoed: Value = answer.json().await.unwrap();
    assert!(values(&echoed, "x-user-id").is_empty(), "a visitor whom nobody knows");
    assert!(values(&echoed, "cookie").is_empty());
}
