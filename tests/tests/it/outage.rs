use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use slipway_end_to_end::{Mode, Platform, TestCluster};
use slipway_models::functions::ExecutionStatus;

use crate::support::{call, client_of, delete, deploy, eventually, token_of};

#[tokio::test]
async fn a_crash_of_postgresql_under_load_loses_nothing_that_was_acknowledged() {
    let cluster = TestCluster::start_new();
    let platform = Platform::start_with(Mode::Standalone, &cluster.settings()).await;
    let token = token_of(&platform, "ada").await;
    let ada = client_of(&platform, &token);
    let id = deploy(&platform, &token, "echo", "def handle(request, context):\n    return request['body']\n")
        .await;

    let over = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (ada, over) = (ada.clone(), Arc::clone(&over));
        async move {
            let mut acknowledged = Vec::new();
            while !over.load(Ordering::SeqCst) {
                match ada.invoke(id, &call(1.into())).await {
                    Ok(answer) => acknowledged.push(answer.execution_id),
                    Err(fault) => assert_eq!(fault.status(), Some(503), "{fault}"),
                }
            }
            acknowledged
        }
    });
    cluster.crash();
    // What needs the database says so, and names when to come again.
    let refused = eventually("a refusal", async || ada.functions(None).await.err()).await;
    assert_eq!((refused.status(), refused.code()), (Some(503), Some("unavailable")), "{refused}");
    let client = reqwest::Client::builder().build().unwrap();
    let request = client.get(format!("{}/api/v1/users/me", platform.gateway())).bearer_auth(&token);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));

    cluster.start();
    eventually("the recovery", async || ada.functions(None).await.ok()).await;
    eventually("the recovery of auth", async || ada.me().await.ok()).await;
    over.store(true, Ordering::SeqCst);
    let acknowledged = load.await.unwrap();
    assert!(!acknowledged.is_empty());
    for execution in acknowledged {
        let run = ada.execution(execution).await.unwrap();
        assert_eq!(run.status, ExecutionStatus::Succeeded);
    }
    assert!(!platform.log().contains("a task panicked"));
    delete(&ada, &[id]).await;
}
