//! What people see of their sessions, and how they end them.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::{PASSWORD, TestAuth, problem};

/// Signs in from an address, as the gateway would pass it on.
async fn login_from(auth: &TestAuth, address: &str, agent: &str) -> Value {
    let request = auth.request(Method::POST, "/api/v1/auth/login");
    let request = request.header("x-forwarded-for", address).header("user-agent", agent);
    let login = json!({"email": "ada@example.org", "password": PASSWORD});
    request.json(&login).send().await.unwrap().json().await.unwrap()
}

async fn send(auth: &TestAuth, method: Method, path: &str, tokens: &Value) -> Response {
    auth.as_owner(auth.request(method, path), tokens).send().await.unwrap()
}

async fn listed(auth: &TestAuth, tokens: &Value) -> Vec<Value> {
    let answer = send(auth, Method::GET, "/api/v1/auth/sessions", tokens).await;
    assert_eq!(answer.status(), 200);
    let page: Value = answer.json().await.unwrap();
    assert_eq!(page["next_cursor"], Value::Null);
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn people_see_where_their_sessions_come_from_and_when_they_were_used() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;
    let phone = login_from(&auth, "203.0.113.9", "Phone/1").await;
    auth.clock.advance(chrono::TimeDelta::hours(1));
    let laptop = login_from(&auth, "2001:db8::7", "Laptop/2").await;
    auth.clock.advance(chrono::TimeDelta::hours(1));
    let phone: Value = auth.refresh(&phone["refresh_token"]).await.json().await.unwrap();

    let sessions = listed(&auth, &phone).await;
    assert_eq!(
        sessions,
        [
            json!({
                "id": laptop["session_id"], "address": "2001:db8::7", "agent": "Laptop/2", "current": false,
                "created_at": "2026-01-10T13:00:00Z", "last_used_at": "2026-01-10T13:00:00Z",
                "expires_at": "2026-02-09T13:00:00Z",
            }),
            json!({
                "id": phone["session_id"], "address": "203.0.113.9", "agent": "Phone/1", "current": true,
                "created_at": "2026-01-10T12:00:00Z", "last_used_at": "2026-01-10T14:00:00Z",
                "expires_at": "2026-02-09T12:00:00Z",
            }),
        ]
    );
}

#[tokio::test]
async fn a_session_is_ended_by_its_owner_and_is_unknown_to_others() {
    let auth = TestAuth::start().await;
    let lost = auth.signed_in().await;
    let own = auth.login("ada@example.org").await;
    auth.register("eve@example.org").await;
    let eve = auth.login("eve@example.org").await;
    let path = format!("/api/v1/auth/sessions/{}", lost["session_id"].as_str().unwrap());

    assert_eq!(problem(send(&auth, Method::DELETE, &path, &eve).await).await.0, 404);
    let unknown = "/api/v1/auth/sessions/01890000-0000-7000-8000-000000000000";
    assert_eq!(problem(send(&auth, Method::DELETE, unknown, &own).await).await.0, 404);
    assert_eq!(problem(send(&auth, Method::DELETE, "/api/v1/auth/sessions/x", &own).await).await.0, 400);
    for _ in 0..2 {
        assert_eq!(send(&auth, Method::DELETE, &path, &own).await.status(), 204);
    }

    assert_eq!(problem(auth.refresh(&lost["refresh_token"]).await).await.1, "refresh_expired");
    let left = listed(&auth, &own).await;
    assert_eq!(left.iter().map(|session| &session["id"]).collect::<Vec<_>>(), [&own["session_id"]]);
    assert_eq!(listed(&auth, &eve).await.len(), 1);
}

#[tokio::test]
async fn signing_out_everywhere_ends_all_of_ones_own_sessions() {
    let auth = TestAuth::start().await;
    let first = auth.signed_in().await;
    let second = auth.login("ada@example.org").await;
    auth.register("eve@example.org").await;
    let eve = auth.login("eve@example.org").await;

    assert_eq!(send(&auth, Method::POST, "/api/v1/auth/logout-all", &second).await.status(), 204);

    for tokens in [&first, &second] {
        assert_eq!(problem(auth.refresh(&tokens["refresh_token"]).await).await.1, "refresh_expired");
    }
    assert_eq!(auth.refresh(&eve["refresh_token"]).await.status(), 200);
    let feed = auth.get_as("/internal/revocations", &auth.callers.service("gateway")).await;
    assert_eq!(feed.json::<Value>().await.unwrap()["revoked"].as_array().unwrap().len(), 2);
}
