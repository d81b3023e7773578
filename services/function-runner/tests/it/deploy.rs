use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestRunner, file, form, problem, tar_gz_of, zip_of};

const HELLO: &str = "def handle(request, context):\n    return {'body': 'hello'}\n";

#[tokio::test]
async fn a_function_is_deployed_and_shown() {
    let runner = TestRunner::start().await;
    let ada = runner.person();

    let answer = runner.deploy("hello", &[("main.py", HELLO)], &ada).await;

    let (function, deployment) = (&answer["function"], &answer["deployment"]);
    let id = function["id"].as_str().unwrap();
    assert_eq!(function["name"], "hello");
    assert_eq!(function["runtime"], "python");
    assert_eq!(function["status"], "active");
    assert_eq!(function["active_version"], 1);
    assert_eq!(function["url"], format!("/f/{}/hello", ada.identity.handle));
    assert_eq!((&deployment["version"], &deployment["status"]), (&json!(1), &json!("active")));
    assert_eq!(&runner.read(&format!("/api/v1/functions/{id}"), &ada).await, function);
    let list = runner.read("/api/v1/functions", &ada).await;
    assert_eq!(list, json!({"items": [function], "next_cursor": null}));
    let deployments = runner.read(&format!("/api/v1/functions/{id}/deployments"), &ada).await;
    assert_eq!(deployments["items"], json!([deployment]));
    assert_eq!(runner.state("builds"), Vec::<String>::new());
    assert_eq!(runner.state("uploads"), Vec::<String>::new());
}

#[tokio::test]
async fn the_same_archive_is_built_once_and_each_deployment_is_a_version() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    runner.deploy("hello", &[("main.py", HELLO)], &ada).await;

    // The order and the format of an archive are not its content.
    let answer = runner.try_deploy("hello", tar_gz_of(&[("main.py", HELLO)]), &ada).await;
    let second: Value = answer.json().await.unwrap();

    assert_eq!(second["deployment"]["version"], 2);
    assert_eq!(second["function"]["active_version"], 2);
    assert_eq!(runner.images().await.len(), 1);
    let log = format!("/api/v1/deployments/{}/logs", second["deployment"]["id"].as_str().unwrap());
    let log = runner.read(&log, &ada).await;
    assert_eq!(log["log"], "the same files were built before: that image is taken\n");
    let id = second["function"]["id"].as_str().unwrap();
    let page = runner.read(&format!("/api/v1/functions/{id}/deployments?limit=1"), &ada).await;
    assert_eq!((&page["items"][0]["version"], &page["items"][0]["status"]), (&json!(2), &json!("active")));
    let cursor = page["next_cursor"].as_str().unwrap();
    let page =
        runner.read(&format!("/api/v1/functions/{id}/deployments?limit=1&cursor={cursor}"), &ada).await;
    assert_eq!(
        (&page["items"][0]["version"], &page["items"][0]["status"]),
        (&json!(1), &json!("superseded"))
    );
}

#[tokio::test]
async fn deployments_of_one_function_are_active_in_their_order() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let mut last = Value::Null;
    for number in 1..=3 {
        let source = format!("def handle(request, context): return {number}");
        let answer = runner.send_form(form("hello", zip_of(&[("main.py", &source)])), "", &ada).await;
        assert_eq!(answer.status(), 202);
        last = answer.json().await.unwrap();
        assert_eq!(last["deployment"]["version"], number);
        assert_eq!(last["deployment"]["status"], "queued");
    }
    let outcome = runner.outcome(last["deployment"]["id"].as_str().unwrap(), &ada).await;
    assert_eq!(outcome["status"], "active");
    let id = last["function"]["id"].as_str().unwrap();
    assert_eq!(runner.read(&format!("/api/v1/functions/{id}"), &ada).await["active_version"], 3);
}

#[tokio::test]
async fn a_failed_build_is_explained_and_leaves_the_active_version() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let first = runner.deploy("hello", &[("main.py", HELLO)], &ada).await;

    let broken = zip_of(&[("main.py", HELLO), ("requirements.txt", "./not-there.whl")]);
    let (status, code, detail) = problem(runner.try_deploy("hello", broken, &ada).await).await;

    assert_eq!((status, code.as_str()), (422, "build_failed"), "{detail}");
    assert!(detail.contains("not-there.whl"), "{detail}");
    let id = first["function"]["id"].as_str().unwrap();
    let function = runner.read(&format!("/api/v1/functions/{id}"), &ada).await;
    assert_eq!((&function["active_version"], &function["status"]), (&json!(1), &json!("active")));
    let deployments = runner.read(&format!("/api/v1/functions/{id}/deployments"), &ada).await;
    let failed = &deployments["items"][0];
    assert_eq!((&failed["version"], &failed["status"]), (&json!(2), &json!("failed")));
    let log = format!("/api/v1/deployments/{}/logs", failed["id"].as_str().unwrap());
    assert!(runner.read(&log, &ada).await["log"].as_str().unwrap().contains("not-there.whl"));
    assert_eq!(runner.images().await.len(), 1);
    assert_eq!(runner.state("builds"), Vec::<String>::new());
}

#[tokio::test]
async fn a_handler_that_cannot_be_loaded_fails_the_deployment() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    for (name, source, expected) in [
        ("missing", "def other(): pass", "handle"),
        ("broken", "import nothing_of_that_name", "nothing_of_that_name"),
        ("syntax", "def handle(:", "SyntaxError"),
    ] {
        let answer = runner.try_deploy(name, zip_of(&[("main.py", source)]), &ada).await;
        let (status, code, detail) = problem(answer).await;
        assert_eq!((status, code.as_str()), (422, "build_failed"), "{name}: {detail}");
        assert!(detail.contains(expected), "{name}: {detail}");
    }
    let list = runner.read("/api/v1/functions", &ada).await;
    let statuses: Vec<&Value> =
        list["items"].as_array().unwrap().iter().map(|item| &item["status"]).collect();
    assert_eq!(statuses, [&json!("failed"); 3]);
    assert_eq!(runner.images().await, Vec::<String>::new());
}

#[tokio::test]
async fn dependencies_are_installed_at_build_time() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let wheel = zip_of(&[
        ("tiny.py", "VALUE = 7"),
        ("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"),
        ("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        ("tiny-1.0.dist-info/RECORD", ""),
    ]);
    let python = {
        use std::io::Write as _;
        let mut writer = zip::ZipWriter::new_append(std::io::Cursor::new(zip_of(&[
            ("main.py", "import tiny\ndef handle(request, context): return tiny.VALUE"),
            ("requirements.txt", "./tiny-1.0-py3-none-any.whl"),
        ])))
        .unwrap();
        writer.start_file("tiny-1.0-py3-none-any.whl", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&wheel).unwrap();
        writer.finish().unwrap().into_inner()
    };
    let answer = runner.try_deploy("python", python, &ada).await;
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 201, "{body}");

    let node = [
        ("package.json", r#"{"type": "module", "dependencies": {"tiny": "file:./tiny"}}"#),
        ("index.js", "import {value} from 'tiny';\nexport default async function handle() { return value; }"),
        (
            "tiny/package.json",
            r#"{"name": "tiny", "version": "1.0.0", "type": "module", "main": "index.js"}"#,
        ),
        ("tiny/index.js", "export const value = 7;"),
    ];
    runner.deploy("node", &node, &ada).await;
}

#[tokio::test]
async fn configuration_comes_from_the_manifest_under_the_form_and_is_changed_by_patch() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let manifest = "[config]\nmemory_mb = 64\ntmp_mb = 8\nenv = { FROM = \"manifest\" }";
    let archive = zip_of(&[("main.py", HELLO), ("slipway.toml", manifest)]);
    let form = form("hello", archive).text("config", r#"{"memory_mb": 96}"#);
    let answer: Value = runner.send_form(form, "?wait=true", &ada).await.json().await.unwrap();
    let config = &answer["function"]["config"];
    assert_eq!((&config["memory_mb"], &config["tmp_mb"]), (&json!(96), &json!(8)), "{answer:#}");
    assert_eq!(config["env"], json!({"FROM": "manifest"}));

    let path = format!("/api/v1/functions/{}", answer["function"]["id"].as_str().unwrap());
    let change = |body: Value| runner.request(Method::PATCH, &path, &ada).json(&body).send();
    let changed: Value = change(json!({"timeout_ms": 900, "env": {}})).await.unwrap().json().await.unwrap();
    assert_eq!((&changed["config"]["timeout_ms"], &changed["config"]["env"]), (&json!(900), &json!({})));
    assert_eq!(runner.read(&path, &ada).await, changed);

    let (status, code, detail) = problem(change(json!({"memory_mb": 8})).await.unwrap()).await;
    assert_eq!((status, code.as_str()), (422, "validation_failed"));
    assert_eq!(detail, "/memory_mb: must lie between 32 and 4096");
    let (status, _, detail) = problem(change(json!({"instances": 1})).await.unwrap()).await;
    assert_eq!(status, 422);
    assert!(detail.starts_with("/instances: unknown field `instances`"), "{detail}");
}

#[tokio::test]
async fn the_same_idempotency_key_replays_the_answer() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let send = async |source: &str| {
        let form = form("hello", zip_of(&[("main.py", source)]));
        let request = runner.request(Method::POST, "/api/v1/functions/deploy?wait=true", &ada);
        request.header("idempotency-key", "key-1").multipart(form).send().await.unwrap()
    };
    let first: Value = send(HELLO).await.json().await.unwrap();
    let again = send(HELLO).await;
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(again.status(), 201);
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    let (status, code, _) = problem(send("def handle(request, context): return 2").await).await;
    assert_eq!((status, code.as_str()), (422, "idempotency_key_reused"));
    let id = first["function"]["id"].as_str().unwrap();
    assert_eq!(runner.read(&format!("/api/v1/functions/{id}"), &ada).await["active_version"], 1);
}

#[tokio::test]
async fn a_function_can_be_named_by_its_id() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let first = runner.deploy("hello", &[("main.py", HELLO)], &ada).await;
    let id = first["function"]["id"].as_str().unwrap().to_owned();
    let form = reqwest::multipart::Form::new()
        .text("function_id", id.clone())
        .part("archive", file(zip_of(&[("main.py", "def handle(request, context): return 2")])));
    let second: Value = runner.send_form(form, "?wait=true", &ada).await.json().await.unwrap();
    assert_eq!((&second["function"]["id"], &second["deployment"]["version"]), (&json!(id), &json!(2)));
}
