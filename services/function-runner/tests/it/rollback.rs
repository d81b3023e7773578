use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::deployed::Deployed;
use crate::harness::{TestRunner, eventually, form, problem, zip_of};

fn answering(number: usize) -> String {
    format!("def handle(request, context): return [{number}, context.function_version]\n")
}

async fn roll_back(function: &Deployed<'_>, version: &Value) -> Response {
    let request = function.runner.request(Method::POST, &function.path("/rollback"), &function.owner);
    request.json(&json!({ "version": version })).send().await.unwrap()
}

#[tokio::test]
async fn an_earlier_version_answers_again_and_so_does_the_later_one() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, &answering(1)).await;
    runner.deploy("hello", &[("main.py", &answering(2))], &function.owner).await;
    assert_eq!(function.answer(&json!({})).await["result"], json!([2, 2]));

    for version in [1, 1, 2] {
        let answer = roll_back(&function, &json!(version)).await;
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["active_version"], &body["id"]), (&json!(version), &json!(function.id)));
        assert_eq!(function.answer(&json!({})).await["result"], json!([version, version]));
        let deployments = runner.read(&function.path("/deployments"), &function.owner).await;
        for deployment in deployments["items"].as_array().unwrap() {
            let expected = if deployment["version"] == version { "active" } else { "superseded" };
            assert_eq!(deployment["status"], expected);
        }
    }
    eventually("one container is left", || async { runner.containers().await == 1 }).await;
    runner.deploy("hello", &[("main.py", &answering(3))], &function.owner).await;
    assert_eq!(function.answer(&json!({})).await["result"], json!([3, 3]));
}

#[tokio::test]
async fn a_rollback_outlives_a_restart() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, &answering(1)).await;
    runner.deploy("hello", &[("main.py", &answering(2))], &function.owner).await;
    assert_eq!(roll_back(&function, &json!(1)).await.status(), 200);
    let Deployed { owner, id, .. } = function;

    let runner = TestRunner::start_on(runner.stop(), &[]).await;

    let function = Deployed { runner: &runner, owner, id };
    assert_eq!(function.answer(&json!({})).await["result"], json!([1, 1]));
}

#[tokio::test]
async fn what_a_version_says_of_the_configuration_holds_again_and_the_rest_stays() {
    let runner = TestRunner::start().await;
    let owner = runner.person();
    let deploy = async |source: &str, config: Value| {
        let form = form("hello", zip_of(&[("main.py", source)])).text("config", config.to_string());
        let answer = runner.send_form(form, "?wait=true", &owner).await;
        assert_eq!(answer.status(), 201);
        answer.json::<Value>().await.unwrap()["function"]["id"].as_str().unwrap().to_owned()
    };
    let id = deploy(&answering(1), json!({ "memory_mb": 96 })).await;
    deploy(&answering(2), json!({ "memory_mb": 160, "timeout_ms": 7000 })).await;
    let function = Deployed { runner: &runner, owner: owner.clone(), id };
    function.configure(json!({ "env": { "KEY": "new" } })).await;

    let body: Value = roll_back(&function, &json!(1)).await.json().await.unwrap();

    let config = &body["config"];
    assert_eq!((&config["memory_mb"], &config["timeout_ms"]), (&json!(96), &json!(7000)));
    assert_eq!(config["env"], json!({ "KEY": "new" }));
}

#[tokio::test]
async fn a_version_that_cannot_answer_is_refused_and_the_active_one_goes_on() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, &answering(1)).await;
    let broken =
        runner.try_deploy("hello", zip_of(&[("main.py", "import nothing_there\n")]), &function.owner);
    assert_eq!(broken.await.status(), 422);
    for (version, status, code) in [
        (json!(2), 409, "version_failed"),
        (json!(3), 404, "not_found"),
        (json!(0), 404, "not_found"),
        (json!("1"), 422, "validation_failed"),
        (json!(1_i64 << 40), 422, "validation_failed"),
    ] {
        let (found, found_code, detail) = problem(roll_back(&function, &version).await).await;
        assert_eq!((found, found_code.as_str()), (status, code), "{version}: {detail}");
    }
    let eve = runner.person();
    let stranger =
        runner.request(Method::POST, &function.path("/rollback"), &eve).json(&json!({"version": 1}));
    assert_eq!(problem(stranger.send().await.unwrap()).await.0, 404);
    assert_eq!(function.answer(&json!({})).await["result"], json!([1, 1]));
}

#[tokio::test]
async fn a_version_whose_image_is_gone_is_refused() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, &answering(1)).await;
    let image = runner.images().await.remove(0);
    runner.deploy("hello", &[("main.py", &answering(2))], &function.owner).await;
    eventually("the old instance is gone", || async { runner.containers().await == 1 }).await;
    runner.remove_image(&image).await;

    let (status, code, _) = problem(roll_back(&function, &json!(1)).await).await;

    assert_eq!((status, code.as_str()), (409, "version_removed"));
    assert_eq!(function.answer(&json!({})).await["result"], json!([2, 2]));
}

/// Clients call without a pause while versions go back and forth. Each rollback is seen by the call that follows it,
/// and no call fails.
#[tokio::test]
async fn rollbacks_under_load_fail_no_call() {
    const CLIENTS: usize = 20;
    const CALLS: usize = 400;
    const ROLLBACKS: usize = 12;
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, &answering(1)).await;
    runner.deploy("hello", &[("main.py", &answering(2))], &function.owner).await;
    function.configure(json!({ "max_instances": 2, "timeout_ms": 120_000 })).await;
    let (calls, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));

    let clients = join_all((0..CLIENTS).map(|_| async {
        while !is_over.load(Ordering::Relaxed) || calls.load(Ordering::Relaxed) < CALLS {
            let result = &function.answer(&json!({})).await["result"];
            assert!(*result == json!([1, 1]) || *result == json!([2, 2]), "{result}");
            calls.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let operator = async {
        for round in 0..ROLLBACKS {
            let version = 1 + round % 2;
            assert_eq!(roll_back(&function, &json!(version)).await.status(), 200);
            assert_eq!(function.answer(&json!({})).await["result"], json!([version, version]));
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients, operator);

    assert!(calls.load(Ordering::Relaxed) >= CALLS);
    eventually("the other version's instances are gone", || async { runner.containers().await <= 2 }).await;
}
