use serde_json::json;

use crate::harness::{PASSWORD, TestAuth, problem};

#[tokio::test]
async fn a_new_account_is_shown_without_its_password() {
    let auth = TestAuth::start().await;
    let body = auth.register("Ada.Lovelace@Example.org").await;
    insta::assert_json_snapshot!(body, {".user.id" => "[id]"}, @r#"
    {
      "user": {
        "created_at": "2026-01-10T12:00:00Z",
        "email": "ada.lovelace@example.org",
        "email_verified": false,
        "handle": "ada-lovelace",
        "id": "[id]",
        "is_active": true,
        "last_login_at": null,
        "status": "active",
        "user_type": "regular",
        "username": null
      }
    }
    "#);
}

#[tokio::test]
async fn an_address_and_a_user_name_are_taken_once() {
    let auth = TestAuth::start().await;
    let register = |email: &str, username: &str| {
        let body = json!({"email": email, "password": PASSWORD, "username": username, "full_name": "Ada"});
        auth.post("/api/v1/auth/register", body)
    };
    assert_eq!(register("ada@example.org", "ada").await.status(), 201);
    assert_eq!(problem(register("ADA@example.org", "other").await).await.1, "email_taken");
    assert_eq!(problem(register("eve@example.org", "Ada").await).await.1, "username_taken");
}

#[tokio::test]
async fn the_same_name_gives_another_handle() {
    let auth = TestAuth::start().await;
    let mut handles = Vec::new();
    for host in ["example.org", "example.com", "example.net"] {
        let body = auth.register(&format!("ada@{host}")).await;
        handles.push(body["user"]["handle"].as_str().unwrap().to_owned());
    }
    assert_eq!(handles, ["ada", "ada-2", "ada-3"]);
}

#[tokio::test]
async fn a_weak_password_is_told_every_rule_it_breaks() {
    let auth = TestAuth::start().await;
    let body = json!({"email": "ada@example.org", "password": "mytest"});
    let answer = auth.post("/api/v1/auth/register", body).await;
    assert_eq!(answer.status(), 422);
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["code"], "weak_password");
    let details: Vec<_> = body["errors"].as_array().unwrap().iter().map(|error| &error["detail"]).collect();
    assert_eq!(
        details,
        [
            "must have at least 8 characters",
            "must have an upper-case letter",
            "must have a special character, such as ! or a space",
            "must not contain the word test"
        ]
    );
}

#[tokio::test]
async fn a_hundred_registrations_of_one_address_make_one_account() {
    let auth = TestAuth::start().await;
    let attempts = (0..100).map(|_| {
        auth.post("/api/v1/auth/register", json!({"email": "ada@example.org", "password": PASSWORD}))
    });
    let mut made = 0;
    for answer in futures_util::future::join_all(attempts).await {
        match answer.status().as_u16() {
            201 => made += 1,
            409 => {}
            other => panic!("answered {other}"),
        }
    }
    assert_eq!(made, 1);
}
