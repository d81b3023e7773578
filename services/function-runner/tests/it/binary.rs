use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestRunner, problem};

/// A custom runtime as shell scripts are written: what it needs of the system is packed beside it.
const SHELL_RUNTIME: &str = r#"#!/app/busybox sh
alias wget="/app/busybox wget" sed="/app/busybox sed"
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
    headers=$(wget -S -q -O /tmp/event "$api/next" 2>&1)
    id=$(echo "$headers" | sed -n 's/^ *lambda-runtime-aws-request-id: *\([0-9a-f-]*\).*/\1/Ip')
    echo "got $id"
    event=$(/app/busybox cat /tmp/event)
    case $event in
        *fail*) wget -q -O /dev/null --post-data '{"errorType":"Refused","errorMessage":"as asked"}' "$api/$id/error" ;;
        *) wget -q -O /dev/null --post-data "echo of $event" "$api/$id/response" ;;
    esac
done
"#;

fn archive(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn a_custom_runtime_in_shell_takes_events_and_gives_answers_and_errors() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let busybox = std::fs::read("/bin/busybox").unwrap();
    let files = [("bootstrap", 0o755, SHELL_RUNTIME.as_bytes()), ("busybox", 0o755, &busybox[..])];
    let answer = runner.try_deploy("shell", archive(&files), &ada).await;
    let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert_eq!(status, 201, "{body:#}");
    let id = body["function"]["id"].as_str().unwrap().to_owned();
    let invoke = async |body: Value| {
        let path = format!("/api/v1/functions/{id}/invoke");
        let answer = runner.request(Method::POST, &path, &ada).json(&json!({"body": body})).send().await;
        let answer = answer.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };

    let (status, answer) = invoke(json!("hello")).await;
    assert_eq!(status, 200, "{answer:#}");
    let echo = answer["result"].as_str().unwrap();
    assert!(echo.starts_with(r#"echo of {"version":"2.0","routeKey":"$default""#), "{echo}");
    assert!(echo.contains(r#""body":"\"hello\"""#), "{echo}");
    let (status, failed) = invoke(json!("fail")).await;
    assert_eq!((status, &failed["code"]), (502, &json!("function_failed")));
    assert!(failed["detail"].as_str().unwrap().contains("as asked"), "{failed:#}");
    assert_eq!(invoke(json!("again")).await.0, 200);
    let execution = answer["execution_id"].as_str().unwrap();
    let logs = runner.read(&format!("/api/v1/functions/{id}/logs?execution_id={execution}"), &ada).await;
    assert_eq!(logs["items"][0]["text"], format!("got {execution}"), "{logs:#}");
}

#[tokio::test]
async fn a_program_that_would_not_start_is_refused_by_its_fault() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    // The system's own shell needs a dynamic loader.
    let dynamic = std::fs::read("/bin/sh").unwrap();
    for (mode, content, expected) in [
        (0o755, &b"print(1)"[..], "bootstrap: it is no Linux executable"),
        (0o755, b"#!/bin/sh\n", "bootstrap: it is a script for \"/bin/sh\""),
        (0o755, &dynamic, "bootstrap: it needs the dynamic loader \"/lib"),
        (0o644, &dynamic, "bootstrap: it is not executable"),
    ] {
        let answer = runner.try_deploy("hello", archive(&[("bootstrap", mode, content)]), &ada).await;
        let (status, code, detail) = problem(answer).await;
        assert_eq!((status, code.as_str()), (422, "invalid_project"), "{detail}");
        assert!(detail.starts_with(expected), "{detail}");
    }
    let missing = archive(&[("slipway.toml", 0o644, b"runtime = \"binary\"")]);
    let (status, _, detail) = problem(runner.try_deploy("hello", missing, &ada).await).await;
    assert_eq!((status, detail.as_str()), (422, "bootstrap: it is no file in the archive"));
    assert_eq!(runner.state("builds"), Vec::<String>::new());
}

#[tokio::test]
async fn a_program_cannot_have_several_calls_at_a_time() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let busybox = std::fs::read("/bin/busybox").unwrap();
    let manifest = b"runtime = \"binary\"\n[config]\nconcurrency = 2\n";
    let files = [
        ("bootstrap", 0o755, SHELL_RUNTIME.as_bytes()),
        ("busybox", 0o755, &busybox[..]),
        ("slipway.toml", 0o644, manifest),
    ];
    let (status, code, detail) = problem(runner.try_deploy("shell", archive(&files), &ada).await).await;
    assert_eq!((status, code.as_str()), (422, "validation_failed"));
    let expected =
        "/config/concurrency: must be 1: an instance of the runtime binary carries out one call at a time";
    assert_eq!(detail, expected);
}
