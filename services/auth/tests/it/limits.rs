//! Limits on what everybody may ask.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use slipway_testkit::{TestDatabase, TestRedis};

use crate::harness::{PASSWORD, TestAuth, problem};
use crate::trail::dump;

const ON: (&str, &str) = ("AUTH_LIMITS", "true");

async fn start() -> TestAuth {
    TestAuth::start_with(&[ON]).await
}

/// Signs in from an address.
async fn login(auth: &TestAuth, address: &str, email: &str, password: &str) -> Response {
    login_at(&auth.base, auth, address, email, password).await
}

async fn login_at(base: &str, auth: &TestAuth, address: &str, email: &str, password: &str) -> Response {
    let request = auth.client.post(format!("{base}/api/v1/auth/login")).header("x-forwarded-for", address);
    request.json(&json!({"email": email, "password": password})).send().await.unwrap()
}

async fn status(auth: &TestAuth, address: &str, email: &str, password: &str) -> u16 {
    login(auth, address, email, password).await.status().as_u16()
}

/// Tries wrong passwords until one is refused unheard; returns how many were heard.
async fn guess(auth: &TestAuth, address: &str, email: &str) -> usize {
    for heard in 0..200 {
        let status = status(auth, address, email, "Wrong battery, horse").await;
        if status == 429 {
            return heard;
        }
        assert_eq!(status, 401);
    }
    200
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn who_guesses_from_one_place_is_stopped_and_told_and_the_owner_elsewhere_is_not() {
    let auth = start().await;
    auth.register("ada@example.org").await;
    assert_eq!(guess(&auth, "203.0.113.9", "ada@example.org").await, 10);

    let refused = login(&auth, "203.0.113.9", "ada@example.org", PASSWORD).await;
    let wait: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((1..=600).contains(&wait), "{wait}");
    let policy = "\"address\";q=60;w=60, \"account\";q=100;w=900, \"pair\";q=10;w=300";
    assert_eq!(header(&refused, "ratelimit-policy"), policy);
    assert_eq!(header(&refused, "ratelimit"), format!("\"pair\";r=0;t={wait}"));
    assert_eq!(problem(refused).await, (429, "rate_limited".to_owned(), vec![]));

    assert_eq!(status(&auth, "203.0.113.9", "Eve@example.org", PASSWORD).await, 401, "another account");
    let owner = login(&auth, "198.51.100.1", "ada@example.org", PASSWORD).await;
    assert_eq!(owner.status(), 200);
    assert!(header(&owner, "ratelimit").starts_with("\"pair\";r=9"), "{}", header(&owner, "ratelimit"));
}

#[tokio::test]
async fn one_network_is_one_address_and_one_name_is_one_account() {
    let auth = start().await;
    for number in 0..10 {
        let address = format!("2001:db8:1:2::{number}");
        let email = if number % 2 == 0 { "ada@example.org" } else { " ADA@example.org" };
        assert_eq!(status(&auth, &address, email, PASSWORD).await, 401);
    }
    assert_eq!(status(&auth, "2001:db8:1:2:ffff::1", "ada@example.org", PASSWORD).await, 429);
    assert_eq!(status(&auth, "2001:db8:1:3::1", "ada@example.org", PASSWORD).await, 401);
}

#[tokio::test]
async fn nobody_is_locked_out_where_they_have_signed_in_before() {
    let auth = start().await;
    auth.register("ada@example.org").await;
    assert_eq!(status(&auth, "198.51.100.1", "ada@example.org", PASSWORD).await, 200);
    let mut heard = 0;
    for place in 0..20 {
        heard += guess(&auth, &format!("203.0.113.{place}"), "ada@example.org").await;
    }
    assert_eq!(heard, 99, "with the owner's own, what the account's quota has");

    assert_eq!(status(&auth, "192.0.2.1", "ada@example.org", PASSWORD).await, 429, "from somewhere new");
    for _ in 0..12 {
        assert_eq!(status(&auth, "198.51.100.1", "ada@example.org", PASSWORD).await, 200, "again and again");
    }
    assert_eq!(guess(&auth, "198.51.100.1", "ada@example.org").await, 10, "guesses are limited there too");

    let sessions = dump(&auth.database, "sessions");
    assert!(sessions.contains("network_digest") && !sessions.contains("198.51.100.1"), "{sessions}");
}

#[tokio::test]
async fn every_route_for_everybody_is_limited() {
    let auth = start().await;
    let routes = [
        ("GET", "/api/v1/auth/prelogin?email=ada@example.org", Value::Null, 30),
        ("POST", "/api/v1/auth/register", json!({"email": "eve@example.org", "password": "weak"}), 5),
        ("POST", "/api/v1/auth/password/forgot", json!({"email": "ada@example.org"}), 3),
        ("POST", "/api/v1/auth/password/reset", json!({"token": "x", "new_password": PASSWORD}), 30),
        ("POST", "/api/v1/auth/email/verify", json!({"token": "x"}), 60),
        ("POST", "/api/v1/auth/refresh", json!({"refresh_token": "x"}), 600),
    ];
    for (method, path, body, limit) in routes {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for number in 0..=limit {
            let request = auth.request(method.clone(), path).header("x-forwarded-for", "203.0.113.9");
            let request = if body.is_null() { request } else { request.json(&body) };
            let answer = request.send().await.unwrap();
            assert!(answer.headers().contains_key("ratelimit"), "{path}");
            assert_eq!(answer.status() == 429, number == limit, "{path} {number}: {}", answer.status());
        }
    }
}

/// Starts two replicas, and sees that they count together; returns the first.
async fn two_count_together(settings: &[(&str, &str)]) -> TestAuth {
    let database = TestDatabase::create("auth", slipway_auth::MIGRATIONS);
    let one = TestAuth::start_on(database, settings).await;
    let two = one.start_replica(settings).await;
    let replicas = [&one.base, &two];
    for number in 0..12 {
        let answer = login_at(replicas[number % 2], &one, "203.0.113.9", "ada@example.org", PASSWORD).await;
        assert_eq!(answer.status(), if number < 10 { 401 } else { 429 }, "{number}");
    }
    one
}

#[tokio::test]
async fn replicas_count_together_with_redis_over_tls() {
    let redis = TestRedis::start_with_tls();
    let (url, ca_file) = (format!("rediss://127.0.0.1:{}", redis.tls_port()), redis.ca_file());
    two_count_together(&[ON, ("REDIS_URL", &url), ("REDIS_CA_FILE", &ca_file)]).await;
    assert_ne!(redis.names(), "");
}

#[tokio::test]
async fn replicas_count_together_with_redis_and_go_on_alone_without() {
    let mut redis = TestRedis::start_new();
    let url = redis.url();
    let one = two_count_together(&[ON, ("REDIS_URL", url.as_str())]).await;
    let names = redis.names();
    assert_eq!(names.matches("slipway:limit:{login}:").count(), 3, "{names}");
    assert!(!names.contains("203.0.113") && !names.contains("ada@"), "{names}");

    redis.stop();
    assert_eq!(guess(&one, "203.0.113.9", "ada@example.org").await, 10, "each by itself, and never none");
    let series = r#"limits_counted_total{outcome="refused",store="memory",service="auth"}"#;
    assert_eq!(one.metric(series).await.as_deref(), Some("1"));
}
