use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use slipway_clients::platform::{Client, Deploy, DeployTarget};
use slipway_config::Secret;
use slipway_models::functions::FunctionConfigPatch;

use crate::server::{Server, answer};

const ID: &str = "0190f5c8-0000-7000-8000-000000000001";

fn function(name: &str) -> Value {
    json!({
        "id": ID, "name": name, "runtime": "python", "status": "active", "active_version": 1,
        "config": {
            "memory_mb": 128, "cpu": 0.5, "timeout_ms": 5000, "min_instances": 0, "max_instances": 10,
            "concurrency": 1, "tmp_mb": 64, "egress": false, "env": {},
        },
        "url": "/api/v1/functions/x/invoke",
        "created_at": "2026-01-10T12:00:00Z", "updated_at": "2026-01-10T12:00:00Z",
    })
}

fn client(server: &Server) -> Client {
    Client::new(&server.url).unwrap().with_token(Secret::new("the-token"))
}

#[tokio::test]
async fn a_function_is_found_by_name_on_any_page() {
    let first = json!({ "items": [function("one")], "next_cursor": "c+1" });
    let second = json!({ "items": [function("two")], "next_cursor": null });
    let answers = [first, second].map(|page| answer("200 OK", "", &page.to_string()));
    let server = Server::start(answers.into()).await;

    let found = client(&server).function_named("two").await.unwrap().unwrap();

    assert_eq!(found.id.to_string(), ID);
    let received = server.received().await;
    assert!(received[0].line.starts_with("GET /api/v1/functions?limit=100 "), "{}", received[0].line);
    assert!(received[1].line.contains("?limit=100&cursor=c%2B1 "), "{}", received[1].line);
    assert_eq!(received[1].header("authorization"), Some("bearer the-token"));
}

#[tokio::test]
async fn an_archive_is_streamed_whole_and_its_progress_told() {
    let archive = tempfile::NamedTempFile::new().unwrap();
    let content = vec![b'x'; 300_000];
    std::fs::write(archive.path(), &content).unwrap();
    let deployment = json!({
        "id": ID, "function_id": ID, "version": 1, "runtime": "python", "status": "building", "error": null,
        "created_at": "2026-01-10T12:00:00Z", "finished_at": null,
    });
    let body = json!({ "function": function("one"), "deployment": deployment });
    let server = Server::start(vec![answer("202 Accepted", "", &body.to_string())]).await;
    let told = Arc::new(AtomicU64::new(0));

    let teller = Arc::clone(&told);
    let config = FunctionConfigPatch { memory_mb: Some(256), ..FunctionConfigPatch::default() };
    let deploy = Deploy {
        target: DeployTarget::Name("one"),
        archive: archive.reopen().unwrap(),
        config: Some(&config),
    };
    let answer =
        client(&server).deploy(deploy, move |sent| teller.store(sent, Ordering::Relaxed)).await.unwrap();

    assert_eq!(answer.deployment.version, 1);
    assert_eq!(told.load(Ordering::Relaxed), 300_000);
    let received = server.received().await.remove(0);
    assert!(received.line.starts_with("POST /api/v1/functions/deploy "), "{}", received.line);
    assert!(received.body.windows(content.len()).any(|window| window == content));
    let text = String::from_utf8_lossy(&received.body);
    assert!(text.contains("name=\"name\"\r\n\r\none\r\n"), "no name in the form");
    assert!(text.contains("{\"memory_mb\":256}"), "no configuration in the form");
}
