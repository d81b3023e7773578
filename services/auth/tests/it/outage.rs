use std::time::Duration;

use serde_json::json;

use crate::harness::{PASSWORD, TestAuth, problem};

#[tokio::test]
async fn without_its_database_auth_answers_503_and_recovers_by_itself() {
    let auth = TestAuth::start().await;
    auth.register("ada@example.org").await;

    auth.database.stop();
    let login = || auth.post("/api/v1/auth/login", json!({"email": "ada@example.org", "password": PASSWORD}));
    let answer = login().await;
    assert_eq!(answer.headers()["retry-after"], "2");
    assert_eq!(problem(answer).await, (503, "unavailable".to_owned(), vec![]));
    let ready = auth.client.get(format!("{}/health/ready", auth.operations)).send().await.unwrap();
    assert_eq!(ready.status(), 503);

    auth.database.start();
    let recovered = async {
        while login().await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), recovered).await.expect("auth recovers");
    let ready = auth.client.get(format!("{}/health/ready", auth.operations)).send().await.unwrap();
    assert_eq!(ready.status(), 200);
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_operations_by_name() {
    let auth = TestAuth::start().await;
    auth.signed_in().await;
    let text =
        auth.client.get(format!("{}/metrics", auth.operations)).send().await.unwrap().text().await.unwrap();
    for line in [
        r#"http_server_request_duration_seconds_count{method="POST",route="/api/v1/auth/login",status="2xx",service="auth"} 1"#,
        r#"db_operation_duration_seconds_count{operation="session.start",outcome="ok",service="auth"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is in\n{text}");
    }
}
