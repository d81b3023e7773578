//! What is kept of tokens: links, counts, and nothing that could be used.

use diesel::prelude::*;
use diesel::sql_types::Text;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{PASSWORD, TestAuth, claims};
use crate::trail::Trail;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(auth: &TestAuth, query: &str) -> Vec<String> {
    let rows: Vec<Line> = diesel::sql_query(query).load(&mut auth.database.superuser()).unwrap();
    rows.into_iter().map(|row| row.line).collect()
}

#[tokio::test]
async fn the_access_tokens_of_a_session_are_found_by_its_id() {
    let auth = TestAuth::start().await;
    let first = auth.signed_in().await;
    let second: Value = auth.refresh(&first["refresh_token"]).await.json().await.unwrap();
    let again: Value = auth.refresh(&first["refresh_token"]).await.json().await.unwrap();
    auth.login("ada@example.org").await;

    // As ADR 17 says it.
    let linked = lines(
        &auth,
        &format!(
            "SELECT access_tokens.id::text AS line FROM sessions
                JOIN refresh_tokens ON refresh_tokens.session_id = sessions.id
                JOIN access_tokens ON access_tokens.refresh_digest = refresh_tokens.digest
                WHERE sessions.id = '{}' ORDER BY access_tokens.id",
            first["session_id"].as_str().unwrap()
        ),
    );
    let expected = [&first, &second, &again].map(|tokens| claims(tokens)["jti"].as_str().unwrap().to_owned());
    assert_eq!(linked, expected);
}

#[tokio::test]
async fn every_operation_on_tokens_is_counted() {
    let auth = TestAuth::start().await;
    let first = auth.signed_in().await;
    let second: Value = auth.refresh(&first["refresh_token"]).await.json().await.unwrap();
    auth.refresh(&first["refresh_token"]).await;
    auth.refresh(&second["refresh_token"]).await;
    auth.refresh(&first["refresh_token"]).await;
    auth.refresh(&second["refresh_token"]).await;
    let other = auth.login("ada@example.org").await;
    auth.logout(&other).await;
    auth.logout(&other).await;

    for (operation, times) in [
        ("issued", "2"),
        ("refreshed", "2"),
        ("replayed", "1"),
        ("reused", "1"),
        ("revoked", "2"),
        ("expired", "1"),
    ] {
        let series = format!(r#"auth_token_operations_total{{operation="{operation}",service="auth"}}"#);
        assert_eq!(auth.metric(&series).await.as_deref(), Some(times), "{operation}");
    }
}

#[tokio::test]
async fn the_database_holds_no_password_no_token_and_nothing_of_where_a_session_comes_from() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;
    let request = auth.request(Method::POST, "/api/v1/auth/login");
    let request = request.header("x-forwarded-for", "203.0.113.9").header("user-agent", "Phone/1");
    let login = json!({"email": "ada@example.org", "password": PASSWORD});
    let first: Value = request.json(&login).send().await.unwrap().json().await.unwrap();
    let second: Value = auth.refresh(&first["refresh_token"]).await.json().await.unwrap();
    let trail = Trail::of(&auth);
    trail.reaches(3).await;
    assert_eq!(
        trail.list("?action=auth.login").await[0]["address"],
        "203.0.113.9",
        "who may read it reads it"
    );

    let tables = lines(&auth, "SELECT tablename AS line FROM pg_tables WHERE schemaname = 'public'");
    assert!(tables.len() >= 4);
    let rows = |table: &String| lines(&auth, &format!("SELECT row_to_json(t)::text AS line FROM {table} t"));
    let dump = tables.iter().flat_map(rows).collect::<Vec<_>>().join("\n").to_lowercase();
    assert!(dump.contains("ada@example.org"), "the dump is one");
    let tokens =
        [&first, &second].into_iter().flat_map(|tokens| [&tokens["access_token"], &tokens["refresh_token"]]);
    for secret in tokens.map(|token| token.as_str().unwrap()).chain([PASSWORD]) {
        for form in [secret.to_lowercase(), hex::encode(secret)] {
            assert!(!dump.contains(&form));
        }
    }
    for personal in ["203.0.113.9", "Phone/1"] {
        assert!(
            !dump.contains(&personal.to_lowercase()) && !dump.contains(&hex::encode(personal)),
            "{personal}"
        );
    }
    assert!(dump.contains("sealed:"), "the audit log has the address, sealed");
}
