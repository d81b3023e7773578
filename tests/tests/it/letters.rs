//! Registration and recovery through the gateway, by real mail.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use slipway_clients::platform::Client;
use slipway_end_to_end::{ADMIN_PASSWORD, Mode, Platform, eventually};
use slipway_testkit::TestSmtp;

use crate::support::{admin_token, client_of};

const ADA: &str = "ada@example.org";
const NEW: &str = "Another horse battery";

async fn post(platform: &Platform, path: &str, body: Value) -> Response {
    let client = reqwest::Client::builder().build().unwrap();
    let request = client.post(format!("{}/api/v1/auth/{path}", platform.gateway()));
    request.json(&body).send().await.unwrap()
}

async fn login(platform: &Platform, password: &str) -> (StatusCode, Value) {
    let answer = post(platform, "login", json!({"email": ADA, "password": password})).await;
    (answer.status(), answer.json().await.unwrap())
}

async fn start(smtp: &TestSmtp, more: &[(&str, &str)]) -> Platform {
    let url = smtp.url();
    let mut settings = vec![
        ("SMTP_URL", url.as_str()),
        ("MAIL_FROM", "slipway@example.org"),
        ("PUBLIC_URL", "https://slipway.example.org"),
    ];
    settings.extend_from_slice(more);
    Platform::start_with(Mode::Standalone, &settings).await
}

/// Signs in twice, and uses each session.
async fn two_sessions(platform: &Platform) -> Vec<(Client, Value)> {
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let (status, tokens) = login(platform, ADMIN_PASSWORD).await;
        assert_eq!(status, 200);
        let client = client_of(platform, tokens["access_token"].as_str().unwrap());
        client.me().await.unwrap();
        sessions.push((client, tokens["refresh_token"].clone()));
    }
    sessions
}

async fn have_ended(platform: &Platform, sessions: Vec<(Client, Value)>) {
    for (client, refresh_token) in sessions {
        let fault = eventually("a refusal", async || client.me().await.err()).await;
        assert_eq!(fault.code(), Some("token_revoked"));
        let refreshed = post(platform, "refresh", json!({"refresh_token": refresh_token})).await;
        assert_eq!(refreshed.status(), 401);
    }
}

#[tokio::test]
async fn every_link_works_once_and_a_reset_ends_all_sessions() {
    let smtp = TestSmtp::start_new();
    let platform = start(&smtp, &[("AUTH_EMAIL_VERIFICATION", "true")]).await;

    let account = json!({"email": ADA, "password": ADMIN_PASSWORD});
    assert_eq!(post(&platform, "register", account).await.status(), 202);
    assert_eq!(login(&platform, ADMIN_PASSWORD).await.1["code"], "email_unverified");
    let verification = json!({"token": smtp.letter_to(ADA, 1).await.token()});
    assert_eq!(post(&platform, "email/verify", verification.clone()).await.status(), 204);
    assert_eq!(post(&platform, "email/verify", verification).await.status(), 422);

    let sessions = two_sessions(&platform).await;

    assert_eq!(post(&platform, "password/forgot", json!({"email": ADA})).await.status(), 202);
    let token = smtp.letter_to(ADA, 2).await.token();
    let reset = json!({"token": token, "new_password": NEW});
    assert_eq!(post(&platform, "password/reset", reset.clone()).await.status(), 204);
    assert_eq!(post(&platform, "password/reset", reset).await.status(), 422);

    have_ended(&platform, sessions).await;
    assert_eq!(login(&platform, ADMIN_PASSWORD).await.0, 401);
    assert_eq!(login(&platform, NEW).await.0, 200);
    assert!(!platform.log().contains(&token), "no link is in the log");
}

#[tokio::test]
async fn a_reset_by_an_admin_ends_all_sessions_and_only_its_letter_lets_the_person_in_again() {
    let smtp = TestSmtp::start_new();
    let platform = start(&smtp, &[]).await;
    let ada = platform.sign_in("ada").await.me().await.unwrap().id;
    let sessions = two_sessions(&platform).await;
    let admin = admin_token(&platform).await;

    let url = format!("{}/api/v1/admin/users/{ada}/reset-password", platform.gateway());
    let request = reqwest::Client::builder().build().unwrap().post(url);
    let reset = async |token: &str| request.try_clone().unwrap().bearer_auth(token).send().await.unwrap();
    let own = login(&platform, ADMIN_PASSWORD).await.1["access_token"].as_str().unwrap().to_owned();
    assert_eq!(reset(&own).await.status(), 403, "she is no admin");
    assert_eq!(reset(&admin).await.status(), 202);

    have_ended(&platform, sessions).await;
    assert_eq!(login(&platform, ADMIN_PASSWORD).await.0, 401);
    client_of(&platform, &admin).me().await.unwrap();
    let letter = smtp.letter_to(ADA, 1).await;
    assert_eq!(letter.subject, "Your password was reset");
    let choice = json!({"token": letter.token(), "new_password": NEW});
    assert_eq!(post(&platform, "password/reset", choice).await.status(), 204);
    let (status, tokens) = login(&platform, NEW).await;
    assert_eq!(status, 200);
    client_of(&platform, tokens["access_token"].as_str().unwrap()).me().await.unwrap();
}

#[tokio::test]
async fn without_mail_a_developer_finds_the_links_in_the_log() {
    let settings = [("DEV_MODE", "true"), ("AUTH_EMAIL_VERIFICATION", "true")];
    let platform = Platform::start_with(Mode::Standalone, &settings).await;
    let account = json!({"email": ADA, "password": ADMIN_PASSWORD});
    assert_eq!(post(&platform, "register", account).await.status(), 202);
    let token = eventually("a link in the log", async || {
        let log = platform.log();
        let (_, rest) = log.split_once("http://localhost:8080/verify-email#token=")?;
        Some(rest.chars().take(43).collect::<String>())
    });
    let token = token.await;
    assert_eq!(post(&platform, "email/verify", json!({"token": token})).await.status(), 204);
    assert_eq!(login(&platform, ADMIN_PASSWORD).await.0, 200);
}
