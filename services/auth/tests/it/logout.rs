use diesel::RunQueryDsl as _;
use serde_json::Value;

use crate::harness::{TestAuth, problem};

#[tokio::test]
async fn an_ended_session_cannot_be_refreshed_and_ending_it_again_is_a_no_op() {
    let auth = TestAuth::start().await;
    let tokens = auth.signed_in().await;
    assert_eq!(auth.logout(&tokens).await, 204);
    assert_eq!(auth.logout(&tokens).await, 204);
    assert_eq!(problem(auth.refresh(&tokens["refresh_token"]).await).await.1, "refresh_expired");
}

#[tokio::test]
async fn gateways_are_told_which_sessions_ended_until_their_tokens_are_over() {
    let auth = TestAuth::start().await;
    let tokens = auth.signed_in().await;
    assert_eq!(feed(&auth, "").await["revoked"], Value::Array(vec![]));

    auth.logout(&tokens).await;
    let told = feed(&auth, "").await;
    assert_eq!(told["revoked"][0]["session_id"], tokens["session_id"]);
    // The hour that a token has, and ten times the patience with the database for one that was being signed.
    assert_eq!(told["revoked"][0]["expires_at"], "2026-01-10T13:02:30Z");
    let since = format!("?since={}", told["cursor"].as_str().unwrap());
    assert_eq!(feed(&auth, &since).await["revoked"].as_array().unwrap().len(), 1, "the feed overlaps");

    auth.clock.advance(chrono::TimeDelta::minutes(63));
    assert_eq!(feed(&auth, "").await["revoked"], Value::Array(vec![]));
}

#[tokio::test]
async fn a_session_whose_end_commits_late_is_told_all_the_same() {
    let auth = TestAuth::start_with(&[("AUTH_DATABASE_TIMEOUT_MS", "60000")]).await;
    let tokens = auth.signed_in().await;
    let cursor = feed(&auth, "").await["cursor"].as_str().unwrap().to_owned();
    // As a transaction that took its time five minutes ago and has waited for a lock since.
    diesel::sql_query("UPDATE sessions SET revoked_at = '2026-01-10 11:55:00Z'")
        .execute(&mut auth.database.superuser())
        .unwrap();
    let told = feed(&auth, &format!("?since={cursor}")).await;
    assert_eq!(told["revoked"][0]["session_id"], tokens["session_id"]);
}

#[tokio::test]
async fn another_persons_session_is_not_ended() {
    let auth = TestAuth::start().await;
    let tokens = auth.signed_in().await;
    assert_eq!(auth.logout_as(slipway_kernel::UserId::generate(), &tokens).await, 204);
    assert_eq!(auth.refresh(&tokens["refresh_token"]).await.status(), 200);
}

#[tokio::test]
async fn a_made_up_cursor_is_refused() {
    let auth = TestAuth::start().await;
    let gateway = auth.callers.service("gateway");
    for cursor in ["x", "9223372036854775807", "-1e9"] {
        let answer = auth.get_as(&format!("/internal/revocations?since={cursor}"), &gateway).await;
        assert_eq!(problem(answer).await.0, 400, "{cursor}");
    }
}

async fn feed(auth: &TestAuth, query: &str) -> Value {
    // Signed anew: the clock moves.
    let gateway = slipway_testkit::Callers::service(&auth.callers, "gateway");
    let answer = auth.get_as(&format!("/internal/revocations{query}"), &gateway).await;
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}
