//! More sign-ins than can be hashed.

use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use serde_json::json;

use crate::harness::{PASSWORD, TestAuth, problem};

#[tokio::test]
async fn a_sign_in_too_many_is_told_to_come_again_and_other_routes_answer() {
    let auth = TestAuth::start_with(&[("AUTH_HASHING_THREADS", "1"), ("AUTH_HASHING_QUEUE", "1")]).await;
    let tokens = auth.signed_in().await;
    let login = || auth.post("/api/v1/auth/login", json!({"email": "ada@example.org", "password": PASSWORD}));
    // The first has its place in the queue and waits for its account.
    let mut other = auth.database.superuser();
    other.batch_execute("BEGIN; LOCK TABLE users").unwrap();
    let refused = async {
        while !auth.database.is_waiting() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let register = json!({"email": "eve@example.org", "password": PASSWORD});
        for answer in [login().await, auth.post("/api/v1/auth/register", register).await] {
            assert!(answer.headers().contains_key("retry-after"));
            assert_eq!(problem(answer).await, (503, "overloaded".to_owned(), vec![]));
        }
        let keys = auth.request(reqwest::Method::GET, "/api/v1/auth/jwks.json").send().await.unwrap();
        assert_eq!(keys.status(), 200);
        let sessions = auth.request(reqwest::Method::GET, "/api/v1/auth/sessions");
        assert_eq!(auth.as_owner(sessions, &tokens).send().await.unwrap().status(), 200);
        other.batch_execute("COMMIT").unwrap();
    };
    let both = futures_util::future::join(login(), refused);
    let (first, ()) = tokio::time::timeout(Duration::from_mins(1), both).await.unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(login().await.status(), 200, "its place is free again");
    let refused = r#"auth_hashing_total{outcome="refused",service="auth"}"#;
    assert_eq!(auth.metric(refused).await.as_deref(), Some("2"));
}
