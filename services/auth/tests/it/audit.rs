use diesel::connection::SimpleConnection as _;
use serde_json::{Value, json};
use slipway_kernel::UserId;
use slipway_models::auth::UserType;

use crate::harness::{PASSWORD, TestAuth, problem};
use crate::trail::{Trail, count, dump, events};

#[tokio::test]
async fn who_signs_in_and_out_is_on_the_log_with_where_from() {
    let auth = TestAuth::start().await;
    let user = auth.register("ada@example.org").await["user"]["id"].clone();
    let tokens = auth.login("ada@example.org").await;
    let wrong = json!({"email": "ada@example.org", "password": "Wrong horse battery"});
    let unknown = json!({"email": "eve@example.org", "password": PASSWORD});
    for body in [wrong, unknown] {
        let request = auth.client.post(format!("{}/api/v1/auth/login", auth.base)).json(&body);
        let request = request.header("x-forwarded-for", "203.0.113.7").header("x-request-id", "asked-for");
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    assert_eq!(auth.logout(&tokens).await, 204);
    assert_eq!(auth.logout(&tokens).await, 204, "again, which changes nothing");

    let trail = Trail::of(&auth);
    trail.reaches(6).await;
    let rows = trail.list("").await;
    let actions: Vec<&str> = rows.iter().rev().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        [
            "auth.superuser_create",
            "auth.register",
            "auth.login",
            "auth.login_failed",
            "auth.login_failed",
            "auth.logout"
        ]
    );
    let places: Vec<i64> = rows.iter().map(|row| row["seq"].as_i64().unwrap()).collect();
    assert_eq!(places, [6, 5, 4, 3, 2, 1]);
    let target = json!({"type": "user", "id": user});
    let row = &rows[2];
    assert_eq!((&row["service"], &row["level"]), (&json!("auth"), &json!("warning")));
    assert_eq!((&row["target"], &row["actor"]), (&target, &json!({"type": "anonymous"})));
    assert_eq!((&row["address"], &row["request_id"]), (&json!("203.0.113.7"), &json!("asked-for")));
    assert_eq!(row["details"], json!({"reason": "invalid_credentials"}));
    assert_eq!(rows[1]["target"], Value::Null, "nobody knows whose account was meant");
    assert_eq!(rows[3]["actor"], json!({"type": "user", "id": user}));
    assert_eq!(rows[3]["target"], json!({"type": "session", "id": tokens["session_id"]}));
    assert_eq!(rows[3]["address"], "127.0.0.1");
}

#[tokio::test]
async fn a_refresh_token_that_is_used_twice_is_on_the_log_as_a_warning() {
    let auth = TestAuth::start().await;
    let tokens = auth.signed_in().await;
    assert_eq!(auth.refresh(&tokens["refresh_token"]).await.status(), 200);
    auth.clock.advance(chrono::TimeDelta::seconds(60));
    assert_eq!(problem(auth.refresh(&tokens["refresh_token"]).await).await.1, "refresh_reused");

    let trail = Trail::of(&auth);
    trail.reaches(4).await;
    let rows = trail.list("?action=auth.refresh_reused").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["level"], "warning");
    assert_eq!(rows[0]["target"], json!({"type": "session", "id": tokens["session_id"]}));
}

#[tokio::test]
async fn a_change_that_does_not_happen_leaves_no_event() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;
    let again = json!({"email": "ada@example.org", "password": PASSWORD});
    assert_eq!(problem(auth.post("/api/v1/auth/register", again).await).await.1, "email_taken");
    auth.register("eve@example.org").await;

    let trail = Trail::of(&auth);
    trail.reaches(3).await;
    assert_eq!(count(&auth.database, "audit_outbox"), 0);
    assert_eq!(trail.list("?action=auth.register").await.len(), 2);
}

#[tokio::test]
async fn the_log_is_listed_by_who_what_and_when_a_page_at_a_time() {
    let auth = TestAuth::start().await;
    let trail = Trail::of(&auth);
    trail.tell(&auth, "functions", &events(5)).await;
    auth.clock.advance(chrono::TimeDelta::hours(1));
    // Identities last a minute.
    let trail = Trail::of(&auth);
    auth.register("ada@example.org").await;
    trail.reaches(7).await;

    assert_eq!(trail.list("?from=2026-01-10T13:00:00Z").await.len(), 1);
    assert_eq!(trail.list("?to=2026-01-10T13:00:00Z").await.len(), 6);
    assert_eq!(trail.list("?actor=auth&action=auth.superuser_create").await.len(), 1);
    assert_eq!(trail.list(&format!("?actor={}", UserId::generate())).await.len(), 0);

    let page = trail.read("/api/v1/audit?limit=4").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let last = trail.read(&format!("/api/v1/audit?limit=4&cursor={cursor}")).await;
    let places = |page: &Value| -> Vec<i64> {
        page["items"].as_array().unwrap().iter().map(|row| row["seq"].as_i64().unwrap()).collect()
    };
    assert_eq!((places(&page), places(&last)), (vec![7, 6, 5, 4], vec![3, 2, 1]));
    assert_eq!(last["next_cursor"], Value::Null);

    for query in ["?from=yesterday", "?cursor=x", "?limit=0"] {
        let answer = auth.get_as(&format!("/api/v1/audit{query}"), &trail.admin).await;
        assert_eq!(answer.status(), 400, "{query}");
    }
}

#[tokio::test]
async fn a_service_speaks_in_its_own_name_and_within_bounds() {
    let auth = TestAuth::start().await;
    let trail = Trail::of(&auth);
    let mut event = events(1).remove(0);
    event["service"] = json!("auth");
    trail.tell(&auth, "functions", &[event.clone()]).await;
    trail.reaches(2).await;
    assert_eq!(trail.list("?action=function.deploy").await[0]["service"], "functions");

    event["details"] = json!({"long": "x".repeat(5_000)});
    let told = trail.send("functions", &[event]).await;
    assert_eq!(problem(told).await.1, "validation_failed");
}

#[tokio::test]
async fn neither_password_nor_token_nor_hash_is_on_the_log() {
    let auth = TestAuth::start().await;
    let tokens = auth.signed_in().await;
    auth.refresh(&tokens["refresh_token"]).await;
    auth.clock.advance(chrono::TimeDelta::seconds(60));
    auth.refresh(&tokens["refresh_token"]).await;
    // A password in the field for the name.
    let slip = json!({"username": "my-secret-battery", "password": PASSWORD});
    auth.post("/api/v1/auth/login", slip).await;
    auth.database
        .superuser()
        .batch_execute("UPDATE users SET status = 'disabled' WHERE email = 'ada@example.org'")
        .unwrap();
    let disabled = json!({"email": "ada@example.org", "password": PASSWORD});
    assert_eq!(problem(auth.post("/api/v1/auth/login", disabled).await).await.1, "account_disabled");
    Trail::of(&auth).reaches(6).await;

    let log = dump(&auth.database, "audit_log");
    assert!(log.contains("account_disabled"), "{log}");
    let hashes = dump(&auth.database, "users");
    let hash = hashes.split('"').find(|text| text.starts_with("$2")).unwrap();
    let text = |name: &str| tokens[name].as_str().unwrap();
    for secret in [PASSWORD, "my-secret-battery", text("refresh_token"), text("access_token"), hash] {
        assert!(!log.contains(secret));
    }
}

#[tokio::test]
async fn only_admins_read_the_log() {
    let auth = TestAuth::start().await;
    for (user_type, status) in [(UserType::Regular, 403), (UserType::Qvp, 403), (UserType::Admin, 200)] {
        let caller = auth.callers.person(user_type).authorization;
        for path in ["/api/v1/audit", "/api/v1/audit/verify"] {
            assert_eq!(auth.get_as(path, &caller).await.status(), status, "{user_type:?} {path}");
        }
    }
}
