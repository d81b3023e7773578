use slipway_clients::platform::LogQuery;
use slipway_end_to_end::{Mode, Platform, containers_of};
use slipway_models::functions::ExecutionStatus;

use crate::support::{call, client_of, delete, deploy_with, eventually, token_of};

const SLEEPER: &str = "import time\n\ndef handle(request, context):\n    print('begun', flush=True)\n    \
     time.sleep(request['body'])\n    return 'slept'\n";

#[tokio::test]
async fn a_platform_that_is_killed_in_mid_call_loses_no_record_and_leaves_no_container() {
    let mut platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "ada").await;
    let ada = client_of(&platform, &token);
    let config = serde_json::json!({"timeout_ms": 120_000});
    let id = deploy_with(&platform, &token, "sleeper", SLEEPER, Some(config)).await;
    let done = ada.invoke(id, &call(0.into())).await.unwrap();

    let running = tokio::spawn({
        let ada = ada.clone();
        async move { ada.invoke(id, &call(100.into())).await }
    });
    eventually("the call's start", async || {
        let executions = ada.executions(id, None).await.unwrap().items;
        executions.into_iter().find(|run| run.status == ExecutionStatus::Running)
    })
    .await;
    let orphans = containers_of(&platform.state());
    assert!(!orphans.is_empty(), "an instance runs");
    platform.kill();
    assert!(running.await.unwrap().is_err());

    platform.restart().await;
    let executions = ada.executions(id, None).await.unwrap().items;
    assert_eq!(executions.len(), 2, "{executions:#?}");
    for run in &executions {
        if run.id == done.execution_id {
            assert_eq!(run.status, ExecutionStatus::Succeeded);
        } else {
            assert_eq!(run.status, ExecutionStatus::Failed);
            assert_eq!(run.error.as_ref().unwrap().kind, "runner_restarted");
        }
    }
    eventually("the orphans' end", async || {
        let left = containers_of(&platform.state());
        (!left.iter().any(|container| orphans.contains(container))).then_some(())
    })
    .await;
    assert_eq!(ada.invoke(id, &call(0.into())).await.unwrap().result, "slept");
    let logs = ada.logs(id, &LogQuery::default()).await.unwrap().items;
    assert!(logs.iter().filter(|line| line.text == "begun").count() >= 2, "{logs:#?}");
    delete(&ada, &[id]).await;
    platform.stop();
    assert_eq!(containers_of(&platform.state()), Vec::<String>::new());
}
