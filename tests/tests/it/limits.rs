//! Limits on what everybody may ask, through the gateway.

use serde_json::{Value, json};
use slipway_end_to_end::{ADMIN_PASSWORD, Mode, Platform};

#[tokio::test]
async fn who_guesses_a_password_is_stopped_whatever_address_they_claim() {
    let platform = Platform::start_with(Mode::Standalone, &[("AUTH_LIMITS", "true")]).await;
    platform.sign_in("ada").await;
    let client = reqwest::Client::builder().build().unwrap();
    let url = format!("{}/api/v1/auth/login", platform.gateway());
    let try_from = async |address: String, email: &str, password: &str| {
        let request = client.post(&url).header("x-forwarded-for", &address).header("forwarded", address);
        request.json(&json!({"email": email, "password": password})).send().await.unwrap()
    };
    for number in 0..10 {
        let answer = try_from(format!("203.0.113.{number}"), "ada@example.org", "Wrong battery, horse").await;
        assert_eq!(answer.status(), 401, "{number}");
        assert!(answer.headers().contains_key("ratelimit"));
    }

    let refused = try_from("203.0.113.99".to_owned(), "ada@example.org", ADMIN_PASSWORD).await;

    assert_eq!(refused.status(), 429);
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().is_ok_and(|wait| wait > 0));
    assert!(refused.headers().contains_key("ratelimit-policy"));
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "rate_limited");
    let other = try_from("203.0.113.99".to_owned(), "admin@slipway.invalid", ADMIN_PASSWORD).await;
    assert_eq!(other.status(), 200, "another account");
}
