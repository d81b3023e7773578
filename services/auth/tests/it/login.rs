use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::{PgConnection, RunQueryDsl as _};
use reqwest::Response;
use serde_json::json;

use crate::harness::{PASSWORD, TestAuth, problem};
use crate::trail::{count, dump};

#[tokio::test]
async fn a_right_password_starts_a_session() {
    let auth = TestAuth::start().await;
    let tokens = auth.signed_in().await;
    insta::assert_json_snapshot!(tokens, {
        ".access_token" => "[token]", ".refresh_token" => "[token]", ".session_id" => "[id]"
    }, @r#"
    {
      "access_token": "[token]",
      "expires_in": 3600,
      "refresh_expires_in": 2592000,
      "refresh_token": "[token]",
      "session_id": "[id]",
      "token_type": "Bearer"
    }
    "#);
}

#[tokio::test]
async fn no_cache_keeps_tokens() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;
    let login = json!({"email": " ADA@example.org", "password": PASSWORD});
    let answer = auth.post("/api/v1/auth/login", login).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let tokens: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(auth.refresh(&tokens["refresh_token"]).await.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn an_unknown_account_and_a_wrong_password_get_the_same_answer() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;
    for body in [
        json!({"email": "ada@example.org", "password": "Wrong horse battery"}),
        json!({"email": "eve@example.org", "password": PASSWORD}),
        json!({"username": "nobody", "password": PASSWORD}),
        json!({"email": "ada@example.org\u{0}", "password": PASSWORD}),
        json!({"username": "\u{0}", "password": PASSWORD}),
        json!({"username": "x".repeat(100_000), "password": "\u{0}"}),
    ] {
        let answer = auth.post("/api/v1/auth/login", body).await;
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        assert_eq!(problem(answer).await, (401, "invalid_credentials".to_owned(), vec![]));
    }
}

#[tokio::test]
async fn a_long_password_counts_to_its_last_character() {
    let auth = TestAuth::start().await;
    let long = format!("A!{}", "x7".repeat(60));
    let register = json!({"email": "ada@example.org", "password": long});
    assert_eq!(auth.post("/api/v1/auth/register", register).await.status(), 201);
    let login = |password: String| {
        auth.post("/api/v1/auth/login", json!({"email": "ada@example.org", "password": password}))
    };
    assert_eq!(login(format!("{}8", &long[..long.len() - 1])).await.status(), 401);
    assert_eq!(login(long.clone()).await.status(), 200);
}

#[tokio::test]
async fn what_is_wrong_with_an_account_is_told_only_after_its_password() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;
    for (status, code) in [("disabled", "account_disabled"), ("pending", "account_pending")] {
        diesel::sql_query(format!("UPDATE users SET status = '{status}' WHERE email = 'ada@example.org'"))
            .execute(&mut auth.database.superuser())
            .unwrap();
        let login = |password: &str| {
            auth.post("/api/v1/auth/login", json!({"email": "ada@example.org", "password": password}))
        };
        assert_eq!(problem(login("Wrong horse battery").await).await.1, "invalid_credentials");
        assert_eq!(problem(login(PASSWORD).await).await, (403, code.to_owned(), vec![]));
    }
}

#[tokio::test]
async fn what_happens_to_an_account_during_a_sign_in_counts() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;
    for (change, answer) in [
        ("status = 'disabled'", (403, "account_disabled")),
        ("status = 'active', password_hash = 'another'", (401, "invalid_credentials")),
    ] {
        // The change is under way when the password is compared, and done before the session starts.
        let mut other = auth.database.superuser();
        other.batch_execute(&format!("BEGIN; UPDATE users SET {change}")).unwrap();
        let login =
            auth.post("/api/v1/auth/login", json!({"email": "ada@example.org", "password": PASSWORD}));
        let answered = commit_once_awaited(&auth, &mut other, login).await;
        assert_eq!(problem(answered).await, (answer.0, answer.1.to_owned(), vec![]));
    }
    assert_eq!(count(&auth.database, "sessions"), 0);
}

/// Sends a request, and commits what `other` has begun once something waits for it.
pub(crate) async fn commit_once_awaited(
    auth: &TestAuth,
    other: &mut PgConnection,
    request: impl Future<Output = Response>,
) -> Response {
    let commit = async {
        while !auth.database.is_waiting() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        other.batch_execute("COMMIT").unwrap();
    };
    let both = futures_util::future::join(request, commit);
    tokio::time::timeout(Duration::from_secs(30), both).await.unwrap().0
}

#[tokio::test]
async fn a_sign_in_hashes_the_password_anew_where_the_cost_has_risen() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;
    let replica = auth.start_replica(&[("AUTH_BCRYPT_COST", "12")]).await;
    assert!(dump(&auth.database, "users").contains("$2b$04$"));
    let login = json!({"email": "ada@example.org", "password": PASSWORD});

    for base in [&replica, &auth.base, &replica] {
        let answer = auth.client.post(format!("{base}/api/v1/auth/login")).json(&login).send().await;
        assert_eq!(answer.unwrap().status(), 200);
        let hashes = dump(&auth.database, "users");
        assert!(hashes.contains("$2b$12$"), "{hashes}");
    }
}
