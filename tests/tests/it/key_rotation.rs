//! Keys of access tokens that are changed while everything runs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use slipway_config::Secret;
use slipway_end_to_end::{ADMIN_PASSWORD, Mode, Platform, eventually};
use slipway_models::auth::LoginRequest;

use crate::support::admin_token;

/// Runs a command on keys; returns what it says.
fn keys(platform: &Platform, command: &str) -> String {
    let output = platform.program("slipway-auth").args(["keys", command]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn age(path: &Path, age: Duration) {
    let file = File::options().write(true).open(path).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the age of a file is by the system's clock")]
    file.set_modified(SystemTime::now() - age).unwrap();
}

async fn kids(platform: &Platform) -> Vec<String> {
    let url = format!("{}/api/v1/auth/jwks.json", platform.gateway());
    let answer = reqwest::Client::builder().build().unwrap().get(url).send().await.unwrap();
    let jwks: Value = answer.json().await.unwrap();
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn sign_in(platform: &Platform) -> String {
    let login = LoginRequest {
        email: Some("ada@example.org".to_owned()),
        password: Some(ADMIN_PASSWORD.to_owned()),
        ..LoginRequest::default()
    };
    platform.anonymous().login(&login).await.unwrap().access_token
}

fn kid(token: &str) -> String {
    use base64::Engine as _;
    let head =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&head).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_key_takes_over_without_a_restart_and_tokens_of_the_old_one_live_on() {
    let platform = Platform::start(Mode::Separate).await;
    let old = platform.token_of("ada").await;
    let first = kids(&platform).await;
    assert_eq!(first, [kid(&old)]);

    let said = keys(&platform, "rotate");
    let file = PathBuf::from(said.strip_prefix("made ").unwrap().split(": ").next().unwrap());
    assert_eq!(file.parent(), Some(platform.keys().as_path()));
    assert!(keys(&platform, "rotate").contains("nothing was done"));
    let both = eventually("a key set of both", async || {
        let kids = kids(&platform).await;
        (kids.len() == 2).then_some(kids)
    })
    .await;
    assert_eq!(both[0], first[0]);
    assert_eq!(kid(&sign_in(&platform).await), first[0], "it is shown before it signs");

    age(&file, Duration::from_mins(3));
    let new = eventually("a token of the new key", async || {
        let token = sign_in(&platform).await;
        (kid(&token) == both[1]).then_some(token)
    })
    .await;
    for token in [&old, &new] {
        platform.anonymous().with_token(Secret::new(token.clone())).me().await.unwrap();
    }
    assert!(keys(&platform, "list").contains("verifies"));
    assert!(keys(&platform, "prune").contains("no key is old enough"));

    age(&file, Duration::from_hours(2));
    assert!(keys(&platform, "prune").contains("removed"));
    eventually("a key set of the new one", async || (kids(&platform).await == both[1..]).then_some(())).await;

    let admin = admin_token(&platform).await;
    let url = format!("{}/api/v1/audit?action=auth.signing_keys", platform.gateway());
    let client = reqwest::Client::builder().build().unwrap();
    eventually("both changes on the audit log", async || {
        let rows: Value = client.get(&url).bearer_auth(&admin).send().await.unwrap().json().await.unwrap();
        let recorded: Vec<_> = rows["items"].as_array()?.iter().map(|row| &row["details"]["keys"]).collect();
        (recorded == [&json!(both[1..]), &json!(both)]).then_some(())
    })
    .await;
}
