//! Signing in by the form of OAuth 2.0's password grant.

use reqwest::{Method, Response};
use serde_json::Value;

use crate::harness::{PASSWORD, TestAuth, problem};

async fn post(auth: &TestAuth, form: &[(&str, &str)]) -> Response {
    let encoded =
        form.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+").replace('@', "%40")));
    let body = encoded.collect::<Vec<_>>().join("&");
    let request = auth.request(Method::POST, "/api/v1/auth/login");
    request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap()
}

#[tokio::test]
async fn the_form_gives_tokens_in_the_body() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;
    let form = [("grant_type", "password"), ("username", "ada@example.org"), ("password", PASSWORD)];
    let answer = post(&auth, &form).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let tokens: Value = answer.json().await.unwrap();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(auth.refresh(&tokens["refresh_token"]).await.status(), 200);
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_said() {
    let auth = TestAuth::start().await;
    let wrong = [("grant_type", "password"), ("username", "ada@example.org"), ("password", "x")];
    assert_eq!(problem(post(&auth, &wrong).await).await.1, "invalid_credentials");
    let other = [("grant_type", "client_credentials"), ("username", "ada"), ("password", "x")];
    assert_eq!(problem(post(&auth, &other).await).await, (400, "unsupported_grant_type".to_owned(), vec![]));
    assert_eq!(problem(post(&auth, &wrong[..2]).await).await.0, 400);
    let request = auth.request(Method::POST, "/api/v1/auth/login").header("content-type", "text/plain");
    assert_eq!(problem(request.body("x").send().await.unwrap()).await.0, 415);
}
