//! API keys, from the one that makes them to the gateways that refuse them.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use slipway_clients::platform::Client;
use slipway_config::Secret;
use slipway_end_to_end::{Mode, Platform, eventually};
use slipway_models::api_keys::{CreateApiKeyRequest, NewApiKeyBody, Scope};

use crate::support::{admin_token, sign_in, succeeds};

async fn make(client: &Client, scopes: &[Scope]) -> NewApiKeyBody {
    let wanted = CreateApiKeyRequest { name: "ci".to_owned(), scopes: scopes.to_vec(), expires_at: None };
    client.create_api_key(&wanted).await.unwrap()
}

/// Asks for the functions with a key; returns the status and the code of a refusal.
async fn ask(gateway: &str, method: Method, path: &str, key: &str) -> (u16, Value) {
    let client = reqwest::Client::builder().build().unwrap();
    let answer =
        client.request(method, format!("{gateway}{path}")).header("x-api-key", key).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json::<Value>().await.unwrap_or_default()["code"].clone())
}

#[tokio::test]
async fn a_key_works_within_its_scopes_at_every_gateway_until_it_is_deleted() {
    let mut platform = Platform::start(Mode::Separate).await;
    let second = platform.add_gateway().await;
    let gateways = [platform.gateway().to_owned(), second];
    let ada = platform.sign_in("ada").await;
    let key = make(&ada, &[Scope::FunctionsRead]).await;
    for gateway in &gateways {
        assert_eq!(ask(gateway, Method::GET, "/api/v1/functions", &key.secret).await.0, 200);
        let refused = (403, json!("insufficient_scope"));
        assert_eq!(ask(gateway, Method::POST, "/api/v1/functions/deploy", &key.secret).await, refused);
        assert_eq!(ask(gateway, Method::POST, "/api/v1/api-keys", &key.secret).await, refused);
        assert_eq!(ask(gateway, Method::GET, "/api/v1/users/me", &key.secret).await, refused);
    }
    let noted =
        eventually("a note of the use", async || ada.api_keys(None).await.unwrap().items[0].last_used_at);
    noted.await;

    ada.delete_api_key(key.key.id).await.unwrap();
    let deleted_at = Instant::now();
    for gateway in &gateways {
        eventually("a refusal", async || {
            let refused = (401, json!("api_key_invalid"));
            (ask(gateway, Method::GET, "/api/v1/functions", &key.secret).await == refused).then_some(())
        })
        .await;
    }
    // The bound is 1 s, and this machine has other work: what is far beyond it is no matter of load.
    assert!(deleted_at.elapsed() < Duration::from_secs(10), "{:?}", deleted_at.elapsed());
}

#[tokio::test]
async fn a_disabled_owner_has_no_key_and_gets_it_back_when_let_in_again() {
    let platform = Platform::start(Mode::Standalone).await;
    let ada = platform.sign_in("ada").await;
    let id = ada.me().await.unwrap().id;
    let key = make(&ada, &[Scope::FunctionsRead]).await;
    let gateway = platform.gateway().to_owned();
    let status = async || ask(&gateway, Method::GET, "/api/v1/functions", &key.secret).await.0;
    assert_eq!(status().await, 200);

    let admin = admin_token(&platform).await;
    let put = async |is_active: bool| {
        let client = reqwest::Client::builder().build().unwrap();
        let request = client.patch(format!("{gateway}/api/v1/admin/users/{id}")).bearer_auth(&admin);
        assert_eq!(request.json(&json!({"is_active": is_active})).send().await.unwrap().status(), 200);
    };
    put(false).await;
    eventually("a refusal", async || (status().await == 401).then_some(())).await;
    put(true).await;
    eventually("admission", async || (status().await == 200).then_some(())).await;
}

#[tokio::test]
async fn the_command_line_makes_keys_and_works_with_one() {
    let platform = Platform::start(Mode::Standalone).await;
    sign_in(&platform, "ada");
    let made = succeeds(platform.slipway("ada").args([
        "--json",
        "api-keys",
        "create",
        "ci",
        "--scope",
        "functions:write",
        "--days",
        "7",
    ]));
    let key = made["secret"].as_str().unwrap();

    let mut list = platform.slipway("nobody");
    list.env("SLIPWAY_TOKEN", key).env("SLIPWAY_URL", platform.gateway());
    assert_eq!(succeeds(list.args(["--json", "list"])), json!([]));

    let listed = succeeds(platform.slipway("ada").args(["--json", "api-keys", "list"]));
    assert_eq!((&listed[0]["id"], listed[0].get("secret")), (&made["id"], None));
    let id = made["id"].as_str().unwrap();
    succeeds(platform.slipway("ada").args(["--json", "api-keys", "remove", id]));
    let client = Client::new(platform.gateway()).unwrap().with_token(Secret::new(key));
    let refused = async || client.function_named("x").await.err();
    assert_eq!(eventually("a refusal", refused).await.code(), Some("api_key_invalid"));
}
