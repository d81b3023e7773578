//! What the gateway hears from auth, and what it does when it hears nothing.

use std::sync::atomic::Ordering;
use std::time::Instant;

use reqwest::Method;
use slipway_models::auth::RevokedUserBody;

use crate::harness::{SignedIn, TestGateway, access_key, eventually, issuer, no_keys, problem, sign_in};

#[tokio::test]
async fn a_valid_token_costs_auth_no_request_whoever_calls_and_however_often() {
    let (gateway, [auth, functions]) = TestGateway::start_tapped(&[]).await;
    let callers: Vec<SignedIn> = (0..20).map(|_| gateway.sign_in()).collect();
    let (started, before) = (Instant::now(), auth.requests().len());

    for caller in [&callers[0]; 200].into_iter().chain(&callers) {
        assert_eq!(gateway.get("/api/v1/functions", &caller.token).await.status(), 200);
    }

    let asked: Vec<String> = auth.requests().into_iter().map(|seen| seen.target).collect();
    let polls = usize::try_from(started.elapsed().as_millis() / 500).unwrap() + 2;
    assert!(asked.len() - before <= polls, "{asked:?}");
    let (of_keys, others): (Vec<_>, Vec<_>) =
        asked.iter().partition(|target| *target == "/api/v1/auth/jwks.json");
    assert_eq!(of_keys.len(), 1, "{asked:?}");
    assert!(others.iter().all(|target| target.starts_with("/internal/revocations")), "{asked:?}");
    assert_eq!(functions.requests().len(), 220, "all of them came through");
}

#[tokio::test]
async fn a_session_that_ended_is_refused_soon_after() {
    let gateway = TestGateway::start().await;
    let (ended, other) = (gateway.sign_in(), gateway.sign_in());
    assert_eq!(gateway.get("/api/v1/functions", &ended.token).await.status(), 200);

    gateway.services.revoked.lock().unwrap().push(ended.session);

    eventually(async || gateway.get("/api/v1/functions", &ended.token).await.status() == 401).await;
    let answer = gateway.get("/api/v1/functions", &ended.token).await;
    assert_eq!(problem(answer).await, (401, "token_revoked".to_owned()));
    assert_eq!(gateway.get("/api/v1/functions", &other.token).await.status(), 200);
}

#[tokio::test]
async fn a_user_whose_tokens_were_revoked_is_refused_until_they_show_the_next_generation() {
    let gateway = TestGateway::start().await;
    let (changed, other) = (gateway.sign_in(), gateway.sign_in());
    assert_eq!(gateway.get("/api/v1/functions", &changed.token).await.status(), 200);

    let expires_at = changed.session.expires_at;
    let user = RevokedUserBody { user_id: changed.user_id, generation: 1, expires_at };
    gateway.services.revoked_users.lock().unwrap().push(user);

    eventually(async || gateway.get("/api/v1/functions", &changed.token).await.status() == 401).await;
    let answer = gateway.get("/api/v1/functions", &changed.token).await;
    assert_eq!(problem(answer).await, (401, "token_revoked".to_owned()));
    assert_eq!(gateway.get("/api/v1/functions", &other.token).await.status(), 200);
}

#[tokio::test]
async fn a_session_that_ended_before_the_gateway_started_is_refused_from_the_first_request() {
    let gateway = TestGateway::start_unready(&[]).await;
    let ended = gateway.sign_in();
    gateway.services.revoked.lock().unwrap().push(ended.session);
    let mut status = 503;
    eventually(async || {
        status = gateway.get("/api/v1/functions", &ended.token).await.status().as_u16();
        assert_ne!(status, 200, "it must not pass, ready or not");
        status == 401
    })
    .await;
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let gateway = TestGateway::start().await;
    let renewed = issuer(access_key(1), &gateway.clock);
    let mut jwks = gateway.issuer.jwks();
    jwks.keys.extend(renewed.jwks().keys);
    *gateway.services.jwks.lock().unwrap() = jwks;

    let (old, new) = (gateway.sign_in(), sign_in(&renewed));

    eventually(async || gateway.get("/api/v1/functions", &new.token).await.status() == 200).await;
    assert_eq!(gateway.get("/api/v1/functions", &old.token).await.status(), 200);
}

#[tokio::test]
async fn a_gateway_that_hears_nothing_of_auth_trusts_no_token_and_says_so_until_it_hears_again() {
    let gateway = TestGateway::start_with(&[("GATEWAY_REVOCATIONS_MAX_AGE_SECONDS", "2")]).await;
    let caller = gateway.sign_in();
    assert_eq!(gateway.get("/api/v1/functions", &caller.token).await.status(), 200);

    gateway.services.silent.store(true, Ordering::SeqCst);
    eventually(async || gateway.ready().await == 503).await;
    let answer = gateway.get("/api/v1/functions", &caller.token).await;
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(problem(answer).await, (503, "unavailable".to_owned()));
    let public = gateway.request(Method::POST, "/api/login").send().await.unwrap();
    assert_eq!(public.status(), 200, "what needs no token is served");

    gateway.services.silent.store(false, Ordering::SeqCst);
    eventually(async || gateway.ready().await == 200).await;
    assert_eq!(gateway.get("/api/v1/functions", &caller.token).await.status(), 200);
}

#[tokio::test]
async fn a_token_of_an_unknown_key_is_refused_and_costs_auth_little() {
    let gateway = TestGateway::start_unready(&[]).await;
    *gateway.services.jwks.lock().unwrap() = no_keys();
    let stranger = sign_in(&issuer(access_key(1), &gateway.clock));
    eventually(async || gateway.get("/api/v1/functions", &stranger.token).await.status() == 401).await;
    let answer = gateway.get("/api/v1/functions", &stranger.token).await;
    assert_eq!(problem(answer).await, (401, "token_invalid".to_owned()));
}
