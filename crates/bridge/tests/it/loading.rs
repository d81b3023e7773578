//! Configuring an instance and loading its handler.

use hyper::{Method, StatusCode};
use serde_json::json;
use slipway_bridge::protocol::{INVOKE_PATH, Outcome};

use crate::instance::{Answer, Instance, Language, head};

async fn load(language: Language, files: &[(&str, &str)]) -> Answer {
    let mut instance = Instance::start(language, files).await;
    instance.configure(json!({})).await;
    let first = instance.ready().await;
    assert_eq!(instance.ready().await.end.outcome, first.end.outcome, "the outcome is kept");
    first
}

#[tokio::test]
async fn what_is_printed_while_loading_is_in_the_answer_of_ready() {
    let python = "import sys\nprint('loading')\nprint('unfinished', end='', file=sys.stderr)\ndef handle(request, context): pass";
    let loaded = load(Language::Python, &[("main.py", python)]).await;
    assert_eq!(loaded.end.outcome, Outcome::Succeeded);
    assert_eq!(loaded.texts(), ["loading", "unfinished"]);

    let node = "console.log('loading'); export default function handle() {}";
    let loaded = load(Language::Node, &[("index.mjs", node)]).await;
    assert_eq!(loaded.end.outcome, Outcome::Succeeded);
    assert_eq!(loaded.texts(), ["loading"]);
}

#[tokio::test]
async fn a_missing_file_is_told() {
    let python = load(Language::Python, &[]).await;
    let expected = "there is no main.py: it has to define handle(request, context)";
    assert_eq!(python.failure(), ("handler_missing", expected));

    let node = load(Language::Node, &[]).await;
    let expected = "there is no index.mjs or index.js or index.cjs, and no package.json with a main";
    assert_eq!(node.failure(), ("handler_missing", expected));

    let node = load(Language::Node, &[("package.json", r#"{"main":"dist/app.js"}"#)]).await;
    let expected = "there is no dist/app.js: it has to export a function handle(request, context)";
    assert_eq!(node.failure(), ("handler_missing", expected));
}

#[tokio::test]
async fn a_file_without_a_handler_is_told() {
    let python = load(Language::Python, &[("main.py", "handle = 'not a function'")]).await;
    assert_eq!(python.failure(), ("handler_missing", "main.py does not define handle(request, context)"));

    let node = load(Language::Node, &[("index.mjs", "export const handler = 1")]).await;
    let expected = "index.mjs does not export a function handle(request, context)";
    assert_eq!(node.failure(), ("handler_missing", expected));
}

#[tokio::test]
async fn a_syntax_error_is_told_with_its_place() {
    let python = load(Language::Python, &[("main.py", "x = 1\ndef handle(request:\n")]).await;
    assert_eq!(python.fault().kind, "SyntaxError");
    let trace = python.fault().trace.as_ref().unwrap();
    assert!(trace.contains("main.py\", line 2") && !trace.contains("worker.py"), "{trace}");

    let node = load(Language::Node, &[("index.mjs", "const x = 1;\nexport default function ( {")]).await;
    assert_eq!(node.fault().kind, "SyntaxError");
    let trace = node.fault().trace.as_ref().unwrap();
    assert!(trace.contains("index.mjs:2") && trace.contains("SyntaxError"), "{trace}");
}

#[tokio::test]
async fn an_import_that_fails_is_told() {
    let python = load(Language::Python, &[("main.py", "import not_there\n")]).await;
    assert_eq!(python.failure(), ("ModuleNotFoundError", "No module named 'not_there'"));
    let trace = python.fault().trace.as_ref().unwrap();
    assert!(trace.contains("main.py\", line 1") && !trace.contains("worker.py"), "{trace}");

    let node = load(Language::Node, &[("index.mjs", "import 'not-there';")]).await;
    assert!(node.fault().message.contains("Cannot find package 'not-there'"), "{node:?}");
}

#[tokio::test]
async fn an_exit_while_loading_is_told() {
    let python = load(Language::Python, &[("main.py", "import sys\nsys.exit(3)")]).await;
    assert_eq!(python.failure(), ("handler_exited", "exit was called while the handler was loaded"));

    let mut node = Instance::start(Language::Node, &[("index.mjs", "process.exit(3)")]).await;
    node.configure(json!({})).await;
    let loaded = node.ready().await;
    assert_eq!(loaded.failure(), ("worker_exited", "the function's process exited with status 3"));
    assert!(loaded.end.worker_exited);
    assert_eq!(node.status_when_terminated().await.code(), Some(1));
}

#[tokio::test]
async fn every_usual_way_to_export_a_handler_is_found() {
    let ways: [&[(&str, &str)]; 7] = [
        &[("index.mjs", "export default () => 'found'")],
        &[("index.mjs", "export const handle = () => 'found'")],
        &[("index.mjs", "export default { handle: () => 'found' }")],
        &[("index.js", "module.exports = () => 'found'")],
        &[("index.js", "exports.handle = () => 'found'")],
        &[("index.js", "exports.__esModule = true; exports.default = () => 'found'")],
        &[
            ("package.json", r#"{"main":"a/b.js","type":"module"}"#),
            ("a/b.js", "export default () => 'found'"),
        ],
    ];
    for files in ways {
        let mut instance = Instance::start(Language::Node, files).await;
        instance.configure(json!({})).await;
        let loaded = instance.ready().await;
        assert_eq!(loaded.end.outcome, Outcome::Succeeded, "{files:?}");
        assert_eq!(instance.invoke(json!(null)).await.text(), "found", "{files:?}");
    }
}

#[tokio::test]
async fn the_application_s_own_modules_and_packages_are_found() {
    let main = "import beside, shared, package\ndef handle(request, context): return [beside.x, shared.x, package.x]";
    let files = [
        ("source/app.py", main),
        ("source/beside.py", "x = 'beside the entry'"),
        ("shared.py", "x = 'in the folder'"),
        (".deps/package/__init__.py", "x = 'a dependency'"),
    ];
    let mut instance = Instance::start(Language::Python, &files).await;
    instance.configure(json!({ "entry": "source/app.py" })).await;
    instance.ready().await;
    let answer = instance.invoke(json!(null)).await;
    assert_eq!(answer.json(), json!(["beside the entry", "in the folder", "a dependency"]));
}

#[tokio::test]
async fn requests_out_of_order_are_refused() {
    let code = "def handle(request, context): pass";
    let mut instance = Instance::start(Language::Python, &[("main.py", code)]).await;
    let call = || head().encode().unwrap();
    assert_eq!(instance.status_of(Method::GET, "/ready", "").await, StatusCode::CONFLICT);
    for concurrency in [0, 101] {
        let status = instance.configure(json!({ "concurrency": concurrency })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(instance.configure(json!({ "env": 1 })).await, StatusCode::BAD_REQUEST);
    assert_eq!(instance.configure(json!({})).await, StatusCode::NO_CONTENT);
    assert_eq!(instance.configure(json!({})).await, StatusCode::CONFLICT);
    assert_eq!(instance.status_of(Method::POST, INVOKE_PATH, call()).await, StatusCode::CONFLICT);
    instance.ready().await;
    assert_eq!(instance.status_of(Method::POST, INVOKE_PATH, "\0\0\0\u{9}{").await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn requests_to_nowhere_are_refused() {
    let mut instance = Instance::python("def handle(request, context): return 1").await;
    assert_eq!(instance.status_of(Method::GET, "/", "").await, StatusCode::NOT_FOUND);
    assert_eq!(instance.status_of(Method::GET, INVOKE_PATH, "").await, StatusCode::NOT_FOUND);
    assert_eq!(instance.invoke(json!(null)).await.json(), 1, "the connection goes on");
}
