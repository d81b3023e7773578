use reqwest::Response;

use crate::harness::{TestAuth, problem};

async fn send(auth: &TestAuth, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
    let request = auth.client.post(format!("{}/api/v1/auth/register", auth.base));
    request.header("content-type", content_type).body(body).send().await.unwrap()
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_told_why() {
    let auth = TestAuth::start().await;
    let json = "application/json";
    assert_eq!(problem(send(&auth, json, "{").await).await, (400, "invalid_request".to_owned(), vec![]));
    assert_eq!(problem(send(&auth, json, "").await).await.0, 400);
    assert_eq!(problem(send(&auth, json, "[".repeat(100_000)).await).await.0, 422);
    assert_eq!(problem(send(&auth, "text/plain", "{}").await).await.1, "unsupported_media_type");
    assert_eq!(problem(send(&auth, json, vec![b' '; 2 << 20]).await).await.1, "body_too_large");
}

#[tokio::test]
async fn a_field_at_fault_is_named_by_its_pointer() {
    let auth = TestAuth::start().await;
    for (body, pointer) in [
        (r#"{"email":"a@b.org","password":"x","admin":true}"#, "/admin"),
        (r#"{"email":7,"password":"Correct horse battery"}"#, "/email"),
        (r#"{"email":"nobody","password":"Correct horse battery"}"#, "/email"),
        (r#"{"email":"a@b.org","password":"Correct horse battery","username":"x"}"#, "/username"),
        (r#"{"email":"a@b.org","password":"Correct horse battery","full_name":"a\nb"}"#, "/full_name"),
    ] {
        let (status, _, pointers) = problem(send(&auth, "application/json", body).await).await;
        assert_eq!((status, pointers), (422, vec![pointer.to_owned()]), "{body}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let auth = TestAuth::start().await;
    let nowhere = auth.client.get(format!("{}/nowhere", auth.base)).send().await.unwrap();
    assert_eq!(problem(nowhere).await.1, "not_found");
    let wrong = auth.client.delete(format!("{}/api/v1/auth/login", auth.base)).send().await.unwrap();
    assert_eq!(problem(wrong).await.1, "method_not_allowed");
}

#[tokio::test]
async fn a_request_id_is_repeated_only_where_it_is_safe() {
    let auth = TestAuth::start().await;
    let answered = |id: &'static str| {
        let request =
            auth.client.get(format!("{}/.well-known/jwks.json", auth.base)).header("x-request-id", id);
        async { request.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned() }
    };
    assert_eq!(answered("trace-42").await, "trace-42");
    assert_ne!(answered("a b").await, "a b");
    assert_ne!(answered("<script>").await, "<script>");
}
