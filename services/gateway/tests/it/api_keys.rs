//! API keys in the place of access tokens.

use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use slipway_jwt::ApiKeySecret;
use slipway_kernel::{ApiKeyId, Clock as _, UserId};
use slipway_models::api_keys::{KnownApiKey, Scope};
use slipway_models::auth::{RevokedSessionBody, RevokedUserBody, UserType};

use crate::echo::values;
use crate::harness::{TestGateway, eventually, problem};

/// A key that auth knows, for somebody who may use functions and the vault.
pub(crate) fn add_key(gateway: &TestGateway, scopes: &[Scope]) -> (ApiKeySecret, KnownApiKey) {
    let secret = ApiKeySecret::generate().unwrap();
    let key = KnownApiKey {
        id: ApiKeyId::generate(),
        scopes: scopes.to_vec(),
        expires_at: gateway.clock.now() + TimeDelta::hours(1),
        user_id: UserId::generate(),
        handle: "ada".to_owned(),
        user_type: UserType::Regular,
        apps: vec!["functions".to_owned(), "vault".to_owned()],
        generation: 0,
    };
    put(gateway, &secret, key.clone());
    (secret, key)
}

fn put(gateway: &TestGateway, secret: &ApiKeySecret, key: KnownApiKey) {
    gateway.services.api_keys.lock().unwrap().insert(secret.fingerprint().to_string(), key);
}

fn asked(gateway: &TestGateway) -> usize {
    gateway.services.key_questions.load(Ordering::SeqCst)
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_key_is_taken_from_either_header_and_reaches_no_service() {
    let gateway = TestGateway::start().await;
    let (secret, key) = add_key(&gateway, &[Scope::FunctionsRead]);
    let get = || gateway.request(Method::GET, "/api/v1/functions");
    for request in [get().bearer_auth(secret.expose()), get().header("X-Api-Key", secret.expose())] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let echoed: Value = answer.json().await.unwrap();
        assert_eq!(echoed["identity"], true, "the service gets a signed identity");
        assert_eq!(values(&echoed, "x-user-id"), [key.user_id.to_string()]);
        assert!(values(&echoed, "x-api-key").is_empty());
        assert!(!echoed.to_string().contains(secret.expose()));
    }
    assert_eq!(asked(&gateway), 1, "once at first sight");
    let both = get().bearer_auth(secret.expose()).header("x-api-key", secret.expose());
    assert_eq!(problem(both.send().await.unwrap()).await, (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn a_key_does_what_its_scopes_name_and_nothing_else() {
    let gateway = TestGateway::start().await;
    let (reads, _) = add_key(&gateway, &[Scope::FunctionsRead]);
    let (writes, _) = add_key(&gateway, &[Scope::FunctionsWrite]);
    let (invokes, _) = add_key(&gateway, &[Scope::FunctionsInvoke]);
    let (other, _) = add_key(&gateway, &[Scope::VaultWrite]);
    let (all, _) = add_key(&gateway, &Scope::all().collect::<Vec<_>>());
    for (secret, may_read, may_write) in
        [(&reads, true, false), (&writes, true, true), (&invokes, false, false), (&other, false, false)]
    {
        for (method, may) in [(Method::GET, may_read), (Method::POST, may_write), (Method::DELETE, may_write)]
        {
            let request = gateway.request(method.clone(), "/api/v1/functions/x").bearer_auth(secret.expose());
            let answer = request.send().await.unwrap();
            if may {
                assert_eq!(answer.status(), 200, "{method}");
            } else {
                assert_eq!(problem(answer).await, (403, "insufficient_scope".to_owned()), "{method}");
            }
        }
    }
    for path in [
        "/api/v1/api-keys",
        "/api/v1/auth/sessions",
        "/api/v1/auth/logout",
        "/api/v1/auth/password",
        "/api/v1/users/me",
        "/api/v1/profile",
        "/api/v1/admin/users",
        "/api/v1/groups",
        "/api/v1/audit",
    ] {
        let request = gateway.request(Method::POST, path).bearer_auth(all.expose());
        assert_eq!(
            problem(request.send().await.unwrap()).await,
            (403, "insufficient_scope".to_owned()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_function_of_its_own_url_knows_the_owner_of_a_key_with_the_scope_for_it() {
    let gateway = TestGateway::start().await;
    for (scope, is_known) in [
        (Scope::FunctionsInvoke, true),
        (Scope::FunctionsWrite, true),
        (Scope::FunctionsRead, false),
        (Scope::VaultWrite, false),
    ] {
        let (secret, key) = add_key(&gateway, &[scope]);
        let request = gateway.request(Method::GET, "/f/ada/hello").header("x-api-key", secret.expose());
        let echoed: Value = request.send().await.unwrap().json().await.unwrap();
        let user = values(&echoed, "x-user-id").first().map(ToString::to_string);
        assert_eq!(user, is_known.then(|| key.user_id.to_string()), "{scope:?}");
        assert!(values(&echoed, "x-api-key").is_empty(), "{scope:?}");
    }
}

#[tokio::test]
async fn an_app_that_the_owner_may_not_use_is_not_for_the_key_either() {
    let gateway = TestGateway::start().await;
    let (secret, mut key) = add_key(&gateway, &[Scope::FunctionsRead]);
    key.apps = vec!["vault".to_owned()];
    put(&gateway, &secret, key);
    let answer = gateway.get("/api/v1/functions", secret.expose()).await;
    assert_eq!(problem(answer).await, (403, "forbidden".to_owned()));
}

#[tokio::test]
async fn a_deleted_key_is_refused_soon_after_and_from_then_on() {
    let gateway = TestGateway::start().await;
    let (secret, key) = add_key(&gateway, &[Scope::FunctionsRead]);
    assert_eq!(gateway.get("/api/v1/functions", secret.expose()).await.status(), 200);

    gateway.services.api_keys.lock().unwrap().clear();
    assert_eq!(
        gateway.get("/api/v1/functions", secret.expose()).await.status(),
        200,
        "nothing told of it yet"
    );
    let expires_at = gateway.clock.now() + TimeDelta::hours(1);
    let session_id = key.id.as_uuid().into();
    gateway.services.revoked.lock().unwrap().push(RevokedSessionBody { session_id, expires_at });

    eventually(async || gateway.get("/api/v1/functions", secret.expose()).await.status() == 401).await;
    let answer = gateway.get("/api/v1/functions", secret.expose()).await;
    assert_eq!(problem(answer).await, (401, "api_key_invalid".to_owned()));
}

#[tokio::test]
async fn a_change_of_the_owner_holds_for_the_key_soon_after() {
    let gateway = TestGateway::start().await;
    let (secret, mut key) = add_key(&gateway, &[Scope::FunctionsRead]);
    assert_eq!(gateway.get("/api/v1/functions", secret.expose()).await.status(), 200);

    let expires_at = gateway.clock.now() + TimeDelta::hours(1);
    let user = RevokedUserBody { user_id: key.user_id, generation: 1, expires_at };
    (key.generation, key.apps) = (1, Vec::new());
    put(&gateway, &secret, key.clone());
    gateway.services.revoked_users.lock().unwrap().push(user);
    eventually(async || gateway.get("/api/v1/functions", secret.expose()).await.status() == 403).await;

    key.apps = vec!["functions".to_owned()];
    put(&gateway, &secret, key);
    gateway.clock.advance(TimeDelta::seconds(66));
    assert_eq!(gateway.get("/api/v1/functions", secret.expose()).await.status(), 200);
}

#[tokio::test]
async fn a_key_is_asked_for_again_after_a_minute_and_is_over_when_it_ends() {
    let gateway = TestGateway::start().await;
    let (secret, mut key) = add_key(&gateway, &[Scope::FunctionsRead]);
    key.expires_at = gateway.clock.now() + TimeDelta::seconds(80);
    put(&gateway, &secret, key);
    for (seconds, questions, admitted) in
        [(0, 1, true), (64, 1, true), (2, 2, true), (13, 2, true), (2, 2, false)]
    {
        gateway.clock.advance(TimeDelta::seconds(seconds));
        let status = gateway.get("/api/v1/functions", secret.expose()).await.status();
        assert_eq!((status == 200, asked(&gateway)), (admitted, questions), "{status}");
    }
}

#[tokio::test]
async fn what_is_no_key_is_refused_and_one_that_is_unknown_is_asked_for_once_in_a_while() {
    let gateway = TestGateway::start().await;
    for text in ["slk_", "slk_x", "slk_!!"] {
        let answer = gateway.get("/api/v1/functions", text).await;
        assert_eq!(problem(answer).await, (401, "api_key_invalid".to_owned()), "{text}");
    }
    assert_eq!(asked(&gateway), 0, "nobody is asked for what never was a key");
    let unknown = ApiKeySecret::generate().unwrap();
    for (seconds, questions) in [(0, 1), (9, 1), (2, 2)] {
        gateway.clock.advance(TimeDelta::seconds(seconds));
        assert_eq!(gateway.get("/api/v1/functions", unknown.expose()).await.status(), 401);
        assert_eq!(asked(&gateway), questions);
    }
}

#[tokio::test]
async fn a_flood_of_made_up_keys_asks_auth_little_and_keeps_no_good_key_out() {
    let gateway = TestGateway::start().await;
    let (good, _) = add_key(&gateway, &[Scope::FunctionsRead]);
    assert_eq!(gateway.get("/api/v1/functions", good.expose()).await.status(), 200);

    let closed = gateway.services.key_gate.write().await;
    let flood: Vec<_> = (0..200)
        .map(|_| {
            let key = ApiKeySecret::generate().unwrap();
            let request = gateway.request(Method::GET, "/api/v1/functions").bearer_auth(key.expose());
            tokio::spawn(async move { problem(request.send().await.unwrap()).await })
        })
        .collect();
    eventually(async || flood.iter().filter(|request| request.is_finished()).count() == 200 - 32).await;
    // So many at a time, and no more: the others are refused by now.
    eventually(async || asked(&gateway) == 1 + 32).await;
    assert_eq!(gateway.get("/api/v1/functions", good.expose()).await.status(), 200, "it is remembered");
    gateway.clock.advance(TimeDelta::seconds(66));
    let renewed = gateway.request(Method::GET, "/api/v1/functions").bearer_auth(good.expose());
    let renewed = tokio::spawn(async move { status(renewed).await });
    eventually(async || asked(&gateway) == 1 + 32 + 1).await;
    drop(closed);

    assert_eq!(renewed.await.unwrap(), 200, "there is room to ask for it again");
    for request in flood {
        let (status, code) = request.await.unwrap();
        assert!(
            matches!((status, code.as_str()), (401, "api_key_invalid") | (503, "overloaded" | "unavailable")),
            "{status} {code}"
        );
    }
}

#[tokio::test]
async fn many_requests_with_one_new_key_are_one_question() {
    let gateway = TestGateway::start().await;
    let (secret, _) = add_key(&gateway, &[Scope::FunctionsRead]);
    let closed = gateway.services.key_gate.write().await;
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let request = gateway.request(Method::GET, "/api/v1/functions").bearer_auth(secret.expose());
            tokio::spawn(status(request))
        })
        .collect();
    eventually(async || asked(&gateway) > 0).await;
    drop(closed);
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!(asked(&gateway), 1);
}
