use slipway_clients::platform::LogQuery;
use slipway_end_to_end::{Mode, Platform};

use crate::support::{call, client_of, delete, deploy, token_of};

#[tokio::test]
async fn a_person_can_do_nothing_with_the_function_of_another() {
    let platform = Platform::start(Mode::Standalone).await;
    let (ada_token, eve_token) = (token_of(&platform, "ada").await, token_of(&platform, "eve").await);
    let (ada, eve) = (client_of(&platform, &ada_token), client_of(&platform, &eve_token));
    let id = deploy(&platform, &ada_token, "private", "def handle(request, context):\n    return 42\n").await;
    let run = ada.invoke(id, &call(1.into())).await.unwrap();
    let deployment = ada.deployments(id, None).await.unwrap().items[0].id;

    let refusals = [
        eve.function(id).await.err(),
        eve.invoke(id, &call(1.into())).await.err(),
        eve.logs(id, &LogQuery::default()).await.err(),
        eve.executions(id, None).await.err(),
        eve.execution(run.execution_id).await.err(),
        eve.deployments(id, None).await.err(),
        eve.deployment(deployment).await.err(),
        eve.build_log(deployment).await.err(),
        eve.delete_function(id).await.err(),
    ];
    for (index, refusal) in refusals.into_iter().enumerate() {
        assert_eq!(refusal.and_then(|fault| fault.status()), Some(404), "refusal {index}");
    }
    assert_eq!(eve.functions(None).await.unwrap().items, []);
    let same_name =
        deploy(&platform, &eve_token, "private", "def handle(request, context):\n    return 7\n").await;
    assert_eq!(eve.invoke(same_name, &call(1.into())).await.unwrap().result, 7);
    assert_eq!(ada.invoke(id, &call(1.into())).await.unwrap().result, 42);
    delete(&ada, &[id]).await;
    delete(&eve, &[same_name]).await;
}
