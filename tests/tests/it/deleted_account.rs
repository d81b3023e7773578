//! What becomes of the functions of an account that an admin deletes.

use serde_json::{Value, json};
use slipway_end_to_end::{Mode, Platform, eventually};

use crate::support::{admin_token, client_of, deploy_with, token_of};

const HELLO: &str = "def handle(request, context): return 'hello'\n";

#[tokio::test]
async fn the_functions_of_a_deleted_account_go_and_the_log_says_so() {
    for mode in [Mode::Separate, Mode::Standalone] {
        let platform = Platform::start(mode).await;
        let (ada, bob) = (token_of(&platform, "ada").await, token_of(&platform, "bob").await);
        let public = Some(json!({"public": true, "min_instances": 1}));
        deploy_with(&platform, &ada, "hello", HELLO, public.clone()).await;
        deploy_with(&platform, &bob, "hello", HELLO, public).await;
        let client = reqwest::Client::builder().build().unwrap();
        let gateway = platform.gateway().to_owned();
        let called = async |gateway: &str, handle: &str| {
            client.get(format!("{gateway}/f/{handle}/hello")).send().await.unwrap().status().as_u16()
        };
        assert_eq!([called(&gateway, "ada").await, called(&gateway, "bob").await], [200, 200]);
        let id = client_of(&platform, &ada).me().await.unwrap().id;
        let admin = admin_token(&platform).await;

        let deletion = client.delete(format!("{gateway}/api/v1/users/{id}")).bearer_auth(&admin);
        assert_eq!(deletion.send().await.unwrap().status(), 204);

        eventually("Ada's function is gone", async || (called(&gateway, "ada").await == 401).then_some(()))
            .await;
        assert_eq!(called(&gateway, "bob").await, 200);
        let told = async || {
            let log =
                client.get(format!("{gateway}/api/v1/audit?action=function.delete")).bearer_auth(&admin);
            let log: Value = log.send().await.unwrap().json().await.unwrap();
            log["items"].get(0).cloned()
        };
        let row = eventually("the deletion is on the log", told).await;
        assert_eq!(
            (&row["actor"], &row["details"]["owner_id"]),
            (&json!({"type": "service", "id": "functions"}), &json!(id))
        );
    }
}
