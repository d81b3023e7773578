use reqwest::{Method, Response};
use serde_json::{Value, json};
use slipway_models::auth::UserType;

use crate::harness::{PASSWORD, TestAuth, problem};
use crate::trail::{Trail, dump};

const WEBHOOK: &str = "https://discord.com/api/webhooks/1234/secret-part";

async fn send(auth: &TestAuth, tokens: &Value, method: Method, path: &str, body: Option<&Value>) -> Response {
    let mut request = auth.request(method, &format!("/api/v1/{path}"));
    if let Some(body) = body {
        request = request.json(body);
    }
    auth.as_owner(request, tokens).send().await.unwrap()
}

async fn put(auth: &TestAuth, tokens: &Value, path: &str, body: &Value) -> Response {
    send(auth, tokens, Method::PUT, path, Some(body)).await
}

async fn profile(auth: &TestAuth, tokens: &Value) -> Value {
    send(auth, tokens, Method::GET, "profile", None).await.json().await.unwrap()
}

fn whole() -> Value {
    json!({
        "full_name": " Ada Lovelace ",
        "phone": "+44 20 7946 0000",
        "locale": "EN-gb",
        "time_zone": "Europe/London",
        "discord_username": "ada.l",
        "discord_webhook": WEBHOOK,
    })
}

#[tokio::test]
async fn a_profile_is_kept_in_its_usual_form_and_what_is_left_out_is_taken_away() {
    let auth = TestAuth::start().await;
    let own = auth.signed_in().await;
    let empty = json!({
        "full_name": null, "phone": null, "locale": null, "time_zone": null,
        "discord_username": null, "discord_webhook": null,
    });
    assert_eq!(profile(&auth, &own).await, empty);

    let kept: Value = put(&auth, &own, "profile", &whole()).await.json().await.unwrap();
    insta::assert_json_snapshot!(kept, @r#"
    {
      "discord_username": "ada.l",
      "discord_webhook": "https://discord.com/api/webhooks/1234/secret-part",
      "full_name": "Ada Lovelace",
      "locale": "en-GB",
      "phone": "+442079460000",
      "time_zone": "Europe/London"
    }
    "#);
    assert_eq!(profile(&auth, &own).await, kept);

    let less = put(&auth, &own, "profile", &json!({"locale": "de"})).await;
    assert_eq!(less.status(), 200);
    let mut expected = empty;
    expected["locale"] = "de".into();
    assert_eq!(profile(&auth, &own).await, expected);
}

#[tokio::test]
async fn a_profile_is_ones_own() {
    let auth = TestAuth::start().await;
    let ada = auth.signed_in().await;
    auth.register("eve@example.org").await;
    let eve = auth.login("eve@example.org").await;
    put(&auth, &ada, "profile", &whole()).await;
    assert_eq!(profile(&auth, &eve).await["full_name"], Value::Null);
    let nobody = auth.callers.person(UserType::Regular).authorization;
    assert_eq!(problem(auth.get_as("/api/v1/profile", &nobody).await).await.0, 404);
    let request = auth.request(Method::PUT, "/api/v1/profile").json(&whole());
    let answer = request.header("authorization", nobody).send().await.unwrap();
    assert_eq!(problem(answer).await.0, 404);
}

#[tokio::test]
async fn every_field_at_fault_is_named_and_nothing_is_kept_of_the_rest() {
    let auth = TestAuth::start().await;
    let own = auth.signed_in().await;
    let bad = json!({
        "full_name": "a\nb",
        "phone": "12",
        "locale": "de_AT",
        "time_zone": "Mars/Base",
        "discord_username": "Ada",
        "discord_webhook": "https://evil.example/api/webhooks/1/x",
    });
    let (status, code, pointers) = problem(put(&auth, &own, "profile", &bad).await).await;
    assert_eq!((status, code.as_str()), (422, "validation_failed"));
    let fields = ["/full_name", "/phone", "/locale", "/time_zone", "/discord_username", "/discord_webhook"];
    assert_eq!(pointers, fields);
    let one = json!({"full_name": "Ada", "locale": "nonsense-locale"});
    assert_eq!(problem(put(&auth, &own, "profile", &one).await).await.2, ["/locale"]);
    assert_eq!(profile(&auth, &own).await["full_name"], Value::Null);
    let unknown = put(&auth, &own, "profile", &json!({"user_type": "admin"})).await;
    assert_eq!(problem(unknown).await.2, ["/user_type"]);
}

#[tokio::test]
async fn a_webhook_is_in_no_dump_and_a_profile_in_no_audit_row() {
    let auth = TestAuth::start().await;
    let own = auth.signed_in().await;
    put(&auth, &own, "profile", &whole()).await;
    let kept = dump(&auth.database, "profiles");
    assert!(kept.contains("ada.l") && !kept.contains("secret-part"), "{kept}");
    let trail = Trail::of(&auth);
    trail.reaches(4).await;
    let rows = trail.list("?limit=1").await;
    assert_eq!(rows[0]["action"], "auth.profile_update");
    let text = serde_json::to_string(&rows).unwrap();
    assert!(!text.contains("Ada") && !text.contains("discord"), "{text}");
}

#[tokio::test]
async fn a_user_name_changes_and_the_handle_stays() {
    let auth = TestAuth::start().await;
    let own = auth.signed_in().await;
    let before: Value = send(&auth, &own, Method::GET, "users/me", None).await.json().await.unwrap();
    let body = json!({"username": "Countess", "full_name": "Ada"});
    let after: Value = put(&auth, &own, "users/me", &body).await.json().await.unwrap();
    let mut expected = before;
    expected["username"] = "countess".into();
    assert_eq!(after, expected);
    assert_eq!(profile(&auth, &own).await["full_name"], "Ada");
    let login = json!({"username": "countess", "password": PASSWORD});
    assert_eq!(auth.post("/api/v1/auth/login", login).await.status(), 200);

    assert_eq!(put(&auth, &own, "users/me", &json!({})).await.status(), 200);
    assert_eq!(profile(&auth, &own).await["full_name"], "Ada", "what is left out stays");
}

#[tokio::test]
async fn a_user_name_that_is_taken_or_none_is_refused() {
    let auth = TestAuth::start().await;
    let own = auth.signed_in().await;
    let taken = put(&auth, &own, "users/me", &json!({"username": "ADMIN", "full_name": "Ada"})).await;
    assert_eq!(problem(taken).await, (409, "username_taken".to_owned(), vec![]));
    assert_eq!(profile(&auth, &own).await["full_name"], Value::Null, "all or nothing");
    let bad = put(&auth, &own, "users/me", &json!({"username": "x", "full_name": ""})).await;
    assert_eq!(problem(bad).await.2, ["/username", "/full_name"]);
}
