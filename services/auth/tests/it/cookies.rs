//! Sessions of browsers: their tokens are in cookies.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::{PASSWORD, TestAuth, problem};

const ACCESS: &str = "__Host-slipway_access";
const REFRESH: &str = "__Host-slipway_refresh";

/// Posts as a browser does whose page's origin the gateway has found good, with a refresh cookie where it has one.
async fn post(auth: &TestAuth, path: &str, refresh: Option<&str>, body: Option<Value>) -> Response {
    let mut request = auth.request(Method::POST, path).header("x-slipway-origin", "allowed");
    if let Some(token) = refresh {
        request = request.header("cookie", format!("{REFRESH}={token}"));
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.unwrap()
}

fn login() -> Value {
    json!({"email": "ada@example.org", "password": PASSWORD, "transport": "cookie"})
}

/// Reads a cookie that an answer sets: its value, and what else is said of it.
fn set_cookie(answer: &Response, name: &str) -> (String, String) {
    let mut cookies = answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let cookie = cookies.find_map(|cookie| cookie.strip_prefix(name)?.strip_prefix('='));
    let (value, attributes) = cookie.unwrap().split_once("; ").unwrap();
    (value.to_owned(), attributes.to_owned())
}

async fn signed_in(auth: &TestAuth) -> String {
    auth.register("ada@example.org").await;
    set_cookie(&post(auth, "/api/v1/auth/login", None, Some(login())).await, REFRESH).0
}

#[tokio::test]
async fn the_tokens_of_a_browser_are_cookies_that_no_script_can_read_and_not_in_the_body() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;
    let answer = post(&auth, "/api/v1/auth/login", None, Some(login())).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let (access, attributes) = set_cookie(&answer, ACCESS);
    assert_eq!(access.split('.').count(), 3);
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=3600");
    let (refresh, attributes) = set_cookie(&answer, REFRESH);
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=2592000");
    let body = answer.text().await.unwrap();
    assert!(!body.contains(&access) && !body.contains(&refresh));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["expires_in"], &body["refresh_expires_in"]), (&json!(3_600), &json!(2_592_000)));
}

#[tokio::test]
async fn another_sites_page_signs_nobody_in_by_cookie() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;
    // The gateway has said nothing good of the origin.
    let answer = auth.post("/api/v1/auth/login", login()).await;
    assert!(!answer.headers().contains_key("set-cookie"));
    assert_eq!(problem(answer).await, (403, "origin_refused".to_owned(), vec![]));
}

#[tokio::test]
async fn the_refresh_cookie_gives_the_next_cookies_with_a_body_or_without() {
    let auth = TestAuth::start().await;
    let mut token = signed_in(&auth).await;
    for body in [None, Some(json!({})), Some(json!({"transport": "cookie"}))] {
        let answer = post(&auth, "/api/v1/auth/refresh", Some(&token), body).await;
        assert_eq!(answer.status(), 200);
        let (next, _) = set_cookie(&answer, REFRESH);
        assert_ne!(next, token);
        assert!(!answer.text().await.unwrap().contains(&next));
        token = next;
    }
}

#[tokio::test]
async fn a_refresh_cookie_is_of_no_use_to_another_sites_page_and_never_becomes_a_token_in_a_body() {
    let auth = TestAuth::start().await;
    let token = signed_in(&auth).await;
    let foreign =
        auth.request(Method::POST, "/api/v1/auth/refresh").header("cookie", format!("{REFRESH}={token}"));
    assert_eq!(problem(foreign.send().await.unwrap()).await.1, "origin_refused");
    let in_body =
        post(&auth, "/api/v1/auth/refresh", Some(&token), Some(json!({"transport": "bearer"}))).await;
    assert_eq!(problem(in_body).await.0, 400);
    assert_eq!(problem(post(&auth, "/api/v1/auth/refresh", None, None).await).await.0, 400);
    let own = post(&auth, "/api/v1/auth/refresh", Some(&token), None).await;
    assert_eq!(own.status(), 200, "it was not used up");
}

#[tokio::test]
async fn a_token_in_the_body_counts_before_the_cookie() {
    let auth = TestAuth::start().await;
    let cookie = signed_in(&auth).await;
    let bearer = auth.login("ada@example.org").await;
    let body = json!({"refresh_token": bearer["refresh_token"]});
    let answer = post(&auth, "/api/v1/auth/refresh", Some(&cookie), Some(body)).await;
    assert!(!answer.headers().contains_key("set-cookie"));
    let next: Value = answer.json().await.unwrap();
    assert_eq!(next["session_id"], bearer["session_id"]);
    // A page may take its session into cookies.
    let body = json!({"refresh_token": next["refresh_token"], "transport": "cookie"});
    let answer = post(&auth, "/api/v1/auth/refresh", None, Some(body)).await;
    assert_eq!(set_cookie(&answer, REFRESH).0.len(), 43);
}

#[tokio::test]
async fn signing_out_clears_the_cookies() {
    let auth = TestAuth::start().await;
    let tokens = auth.signed_in().await;
    for path in ["/api/v1/auth/logout", "/api/v1/auth/logout-all"] {
        let answer = auth.as_owner(auth.request(Method::POST, path), &tokens).send().await.unwrap();
        assert_eq!(answer.status(), 204);
        for name in [ACCESS, REFRESH] {
            let expected = (String::new(), "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0".to_owned());
            assert_eq!(set_cookie(&answer, name), expected);
        }
    }
}

#[tokio::test]
async fn a_browser_whose_access_token_is_over_signs_out_by_its_refresh_cookie() {
    let auth = TestAuth::start().await;
    let token = signed_in(&auth).await;
    let foreign =
        auth.request(Method::POST, "/api/v1/auth/logout").header("cookie", format!("{REFRESH}={token}"));
    assert_eq!(problem(foreign.send().await.unwrap()).await.1, "origin_refused");
    assert_eq!(post(&auth, "/api/v1/auth/logout", Some("nonsense"), None).await.status(), 204);
    assert_eq!(post(&auth, "/api/v1/auth/logout", Some(&token), None).await.status(), 204);
    let over = post(&auth, "/api/v1/auth/refresh", Some(&token), None).await;
    assert_eq!(problem(over).await.1, "refresh_expired");
    assert_eq!(post(&auth, "/api/v1/auth/logout", None, None).await.status(), 401);
}
