//! Images of old versions go, and what is used stays.

use std::fs::File;
use std::time::SystemTime;

use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel::{PgConnection, RunQueryDsl as _};
use reqwest::{Method, Response};
use serde_json::json;

use crate::deployed::Deployed;
use crate::harness::{TestRunner, eventually, problem};
use crate::registry::Registry;

fn answering(number: usize) -> String {
    format!("def handle(request, context): return {number}\n")
}

async fn deploy(function: &Deployed<'_>, number: usize) {
    function.runner.deploy("hello", &[("main.py", &answering(number))], &function.owner).await;
}

/// Has calls wait for an instance however busy the machine is.
async fn patient(function: &Deployed<'_>) {
    function.configure(json!({ "timeout_ms": 600_000 })).await;
}

async fn roll_back(function: &Deployed<'_>, version: usize) -> Response {
    let request = function.runner.request(Method::POST, &function.path("/rollback"), &function.owner);
    request.json(&json!({ "version": version })).send().await.unwrap()
}

/// Counts the versions that name no image any more.
fn forgotten(connection: &mut PgConnection) -> i64 {
    let count = "(SELECT count(*) FROM deployments WHERE status = 'superseded' AND image IS NULL)";
    diesel::select(sql::<BigInt>(count)).get_result(connection).unwrap()
}

#[tokio::test]
async fn the_newest_versions_and_the_active_one_keep_their_images_and_others_go() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, &answering(1)).await;
    patient(&function).await;
    for number in 2..=5 {
        deploy(&function, number).await;
    }
    assert_eq!(roll_back(&function, 1).await.status(), 200);
    let Deployed { owner, id, .. } = function;
    let surroundings = runner.stop();
    let sweeping = [("VERSIONS_KEPT", "2"), ("VERSIONS_KEPT_DAYS", "0"), ("IMAGE_SWEEP_SECONDS", "1")];

    let runner = TestRunner::start_on(surroundings, &sweeping).await;

    let function = Deployed { runner: &runner, owner, id };
    eventually("the active and two more are left", async || runner.images().await.len() == 3).await;
    assert_eq!(function.answer(&json!({})).await["result"], json!(1));
    for gone in [2, 3] {
        let (status, code, detail) = problem(roll_back(&function, gone).await).await;
        assert_eq!((status, code.as_str()), (409, "version_removed"), "{detail}");
    }
    assert_eq!(roll_back(&function, 4).await.status(), 200);
    assert_eq!(function.answer(&json!({})).await["result"], json!(4));
    eventually("the one that was active goes, too", async || runner.images().await.len() == 2).await;
    eventually("so do its files", async || runner.state("bundles").len() == 2).await;
    let (status, ..) = problem(roll_back(&function, 1).await).await;
    assert_eq!(status, 409);
    let versions = runner.read(&function.path("/deployments"), &function.owner).await;
    assert_eq!(versions["items"].as_array().unwrap().len(), 5, "the history stays");
    deploy(&function, 1).await;
    assert_eq!(function.answer(&json!({})).await["result"], json!(1), "the same files are built again");
}

#[tokio::test]
async fn a_sweep_ends_what_a_killed_one_began_and_leaves_young_versions_alone() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, &answering(1)).await;
    patient(&function).await;
    deploy(&function, 2).await;
    deploy(&function, 3).await;
    let Deployed { owner, id, .. } = function;
    let surroundings = runner.stop();
    // What is left of a sweep that was killed when it had written which version goes.
    let killed = "UPDATE deployments SET image = NULL WHERE version = 2";
    diesel::sql_query(killed).execute(&mut surroundings.database.superuser()).unwrap();

    let runner = TestRunner::start_on(surroundings, &[("VERSIONS_KEPT", "1")]).await;

    let function = Deployed { runner: &runner, owner, id };
    eventually("what nobody names is removed", async || runner.images().await.len() == 2).await;
    assert_eq!(problem(roll_back(&function, 2).await).await.1, "version_removed");
    assert_eq!(roll_back(&function, 1).await.status(), 200);
    assert_eq!(function.answer(&json!({})).await["result"], json!(1));
}

#[tokio::test]
async fn an_image_that_an_instance_uses_stays_until_that_is_gone() {
    let settings = [("VERSIONS_KEPT", "1"), ("VERSIONS_KEPT_DAYS", "0"), ("IMAGE_SWEEP_SECONDS", "1")];
    let runner = TestRunner::start_with(&settings).await;
    let sleeper =
        "import time\ndef handle(request, context):\n  print('begun', flush=True)\n  time.sleep(600)\n";
    let function = Deployed::new(&runner, sleeper).await;
    patient(&function).await;
    let run = function.send(&json!({})).await;
    eventually("it runs", async || function.printed(&run).await == ["begun"]).await;
    deploy(&function, 2).await;
    let mut behind = runner.surroundings().database.superuser();
    eventually("the version is forgotten", || {
        let forgotten = forgotten(&mut behind);
        async move { forgotten == 1 }
    })
    .await;

    assert_eq!(problem(roll_back(&function, 1).await).await.1, "version_removed");
    assert_eq!(runner.images().await.len(), 2, "its image is in use");
    assert_eq!(function.execution(&run).await["status"], "running");
    assert_eq!(function.about(&run, "cancel").await.status(), 200);
    eventually("the image goes with the instance", async || runner.images().await.len() == 1).await;
    assert_eq!(function.answer(&json!({})).await["result"], json!(2));
}

#[tokio::test]
async fn installed_dependencies_that_no_build_used_for_long_go_and_what_was_made_of_them_stays() {
    let registry = Registry::start().await;
    let settings = [("BUILD_REGISTRIES", registry.address.as_str())];
    let runner = TestRunner::start_with(&settings).await;
    let owner = runner.person();
    let files = registry.function();
    let files: Vec<_> = files.iter().map(|(name, content)| (*name, content.as_str())).collect();
    let deployed = runner.deploy("hello", &files, &owner).await;
    let id = deployed["function"]["id"].as_str().unwrap().to_owned();
    let installed =
        |images: &[String]| images.iter().filter(|image| image.contains("/dependencies:")).count();
    assert_eq!(installed(&runner.images().await), 1);
    let surroundings = runner.stop();
    let used = std::fs::read_dir(surroundings.state.path().join("dependencies")).unwrap().next().unwrap();
    let used = File::options().append(true).open(used.unwrap().path()).unwrap();
    used.set_modified(SystemTime::UNIX_EPOCH).unwrap();

    let runner = TestRunner::start_on(surroundings, &settings).await;

    eventually("what was installed goes", async || installed(&runner.images().await) == 0).await;
    let function = Deployed { runner: &runner, owner, id };
    patient(&function).await;
    assert_eq!(function.answer(&json!({})).await["result"], json!(7));
    runner.deploy("hello", &files, &function.owner).await;
    assert_eq!(registry.fetched(), 1, "the same files were built before");
}
