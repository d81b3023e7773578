use serde_json::json;
use slipway_end_to_end::{Mode, Platform, containers_of, images_of};

use crate::support::{sign_in, succeeds};

/// Signs in, deploys, calls, reads the logs, lists and deletes, by the command line alone.
async fn main_job(mode: Mode) {
    let mut platform = Platform::start(mode).await;
    sign_in(&platform, "admin");
    let folder = tempfile::tempdir().unwrap();
    let slipway = |arguments: &[&str]| {
        let mut command = platform.slipway("admin");
        command.current_dir(folder.path()).arg("--json").args(arguments);
        command
    };
    for runtime in ["python", "node"] {
        let name = format!("hello-{runtime}");
        succeeds(&mut slipway(&["init", runtime, &name]));
        succeeds(&mut slipway(&["deploy", &name]));
        let answer = succeeds(&mut slipway(&["invoke", &name, "--data", r#"{"name": "Ada"}"#]));
        assert_eq!(answer["success"], true, "{answer:#}");
        assert_eq!(answer["status_code"], 200);
        let warm = succeeds(&mut slipway(&["invoke", &name, "--data", r#"{"name": "Eve"}"#]));
        assert_eq!(warm["cold_start"], false);
        let execution = answer["execution_id"].as_str().unwrap();
        let logs =
            platform.slipway("admin").args(["logs", &name, "--execution", execution]).output().unwrap();
        assert!(logs.status.success());
        assert!(!logs.stdout.is_empty(), "the handler of `init` prints a line");
    }
    let listed = succeeds(&mut slipway(&["list"]));
    assert!(listed.to_string().contains("hello-python") && listed.to_string().contains("hello-node"));
    for runtime in ["python", "node"] {
        succeeds(&mut slipway(&["delete", &format!("hello-{runtime}"), "--yes"]));
    }
    assert!(!succeeds(&mut slipway(&["list"])).to_string().contains("hello"));
    assert_eq!(containers_of(&platform.state()), Vec::<String>::new());
    assert_eq!(images_of(&platform.state()), Vec::<String>::new());
    platform.stop();
}

#[tokio::test]
async fn the_main_job_works_in_one_process() {
    main_job(Mode::Standalone).await;
}

#[tokio::test]
async fn the_main_job_works_in_separate_processes() {
    main_job(Mode::Separate).await;
}

#[tokio::test]
async fn a_session_that_ended_stops_working_at_the_gateway_within_a_second() {
    let platform = Platform::start(Mode::Standalone).await;
    let ada = platform.sign_in("ada").await;
    ada.me().await.unwrap();
    ada.logout().await.unwrap();
    let refused = crate::support::eventually("the refusal", async || ada.me().await.err()).await;
    assert_eq!(refused.status(), Some(401));
}

#[tokio::test]
async fn what_a_client_says_of_itself_changes_nothing() {
    let platform = Platform::start(Mode::Standalone).await;
    let ada = platform.sign_in("ada").await.me().await.unwrap();
    let token = crate::support::token_of(&platform, "eve").await;
    let client = reqwest::Client::builder().build().unwrap();
    let request = client.get(format!("{}/api/v1/users/me", platform.gateway())).bearer_auth(&token);
    let answer = request.header("x-user-id", ada.id.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["email"], json!("eve@example.org"));
}
