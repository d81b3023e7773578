//! Programs that speak the Lambda Runtime API.

use serde_json::{Value, json};
use slipway_bridge::protocol::Outcome;

use crate::instance::{Answer, Instance, Language, head};

const BOOTSTRAP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/bootstrap.py");

async fn start(env: Value) -> (Instance, Answer) {
    let mut instance = Instance::start(Language::Binary, &[]).await;
    instance.configure(json!({"entry": BOOTSTRAP, "env": env})).await;
    let loaded = instance.ready().await;
    (instance, loaded)
}

async fn started() -> Instance {
    let (instance, loaded) = start(json!({"GREETING": "hé"})).await;
    assert!(loaded.end.outcome == Outcome::Succeeded, "{loaded:?}");
    instance
}

#[tokio::test]
async fn a_program_is_ready_with_its_first_request_and_given_its_calls_as_events() {
    let mut instance = started().await;
    let mut call = head();
    call.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let answer = instance.invoke_with(&call, br#""what you were given""#).await;
    assert_eq!(answer.head().headers, [("content-type".to_owned(), "application/json".to_owned())]);
    let given = answer.json();
    assert_eq!(given["event"]["requestContext"]["http"]["method"], "POST");
    assert_eq!(given["event"]["headers"], json!({"content-type": "application/json"}));
    let headers = &given["headers"];
    assert_eq!(headers["lambda-runtime-aws-request-id"], call.execution_id);
    assert_eq!(
        headers["lambda-runtime-trace-id"],
        "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"
    );
    let arn = "arn:slipway:lambda:local:000000000000:function:hello:3";
    assert_eq!(headers["lambda-runtime-invoked-function-arn"], arn);
    let came = given["event"]["requestContext"]["timeEpoch"].as_u64().unwrap();
    assert_eq!(headers["lambda-runtime-deadline-ms"], (came + call.deadline_ms).to_string());
    assert_eq!(
        (&given["env"]["AWS_LAMBDA_FUNCTION_NAME"], &given["env"]["AWS_LAMBDA_FUNCTION_VERSION"]),
        (&json!("hello"), &json!("3"))
    );
    assert_eq!(given["env"]["GREETING"], "hé");
    assert!(given["memory"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_program_has_no_socket_of_its_worker() {
    let answer = started().await.invoke(json!("what you were given")).await;
    // Its connection to the API.
    assert_eq!(answer.json()["sockets"], 1);
}

#[tokio::test]
async fn answers_come_back_as_they_were_meant() {
    let mut instance = started().await;
    for (sent, status, content_type, body) in [
        (
            r#"{"statusCode":404,"headers":{"content-type":"text/html"},"body":"<p>"}"#,
            404,
            "text/html",
            "<p>",
        ),
        (r#"{"total": 7}"#, 200, "application/json", r#"{"total": 7}"#),
        ("just text", 200, "text/plain; charset=utf-8", "just text"),
    ] {
        let answer = instance.invoke(json!({"answer": sent})).await;
        assert_eq!((answer.head().status_code, answer.text()), (status, body));
        assert_eq!(answer.head().headers, [("content-type".to_owned(), content_type.to_owned())]);
        assert!(answer.texts().contains(&"called"), "{:?}", answer.texts());
    }
    let answer = instance.invoke(json!({"stream": ["one, ", "two"]})).await;
    assert_eq!((answer.head().status_code, answer.text()), (201, "one, two"));
}

#[tokio::test]
async fn errors_are_the_calls_own_and_the_program_goes_on() {
    let mut instance = started().await;
    let told = r#"{"errorType":"Order.Closed","errorMessage":"no ü","stackTrace":["a","b"]}"#;
    let untyped = json!({"error": "plain", "headers": {"lambda-runtime-function-error-type": "From.Header"}});
    let streamed = "the program failed while it streamed its answer";
    for (sent, kind, message, trace) in [
        (json!({"error": told}), "Order.Closed", "no ü", Some("a\nb")),
        (untyped, "From.Header", "plain", None),
        (json!({"error": ""}), "Unhandled", "the program gave no message", None),
        (json!({"error": "{}"}), "Unhandled", "the program gave no message", None),
        (json!({"break off": 1}), "Disk.Full", streamed, None),
        (
            json!({"answer": r#"{"statusCode":"teapot"}"#}),
            "invalid_answer",
            "the answer has a statusCode and is no answer of a function URL: invalid type: string \"teapot\", \
             expected u16 at line 1 column 22",
            None,
        ),
        (
            json!({"large": (64 << 20) + 1}),
            "invalid_answer",
            "the answer cannot be taken: it is larger than 67108864 bytes",
            None,
        ),
    ] {
        let answer = instance.invoke(sent).await;
        assert_eq!(answer.failure(), (kind, message));
        assert_eq!(answer.fault().trace.as_deref(), trace);
        assert!(!answer.end.worker_exited);
    }
    assert_eq!(instance.invoke(json!({"answer": "fine"})).await.text(), "fine");
}

#[tokio::test]
async fn what_the_api_does_not_have_is_refused_and_an_outcome_counts_once() {
    let mut instance = started().await;
    let answer = instance.invoke(json!("wrong paths")).await;
    assert_eq!(
        answer.json(),
        json!([
            [400, "InvalidRequestID"],
            [400, "InvalidRequestID"],
            [404, "NotFound"],
            [404, "NotFound"],
            [403, "InvalidStateTransition"],
        ])
    );
    let next = instance.invoke(json!({"answer": "fine"})).await;
    assert_eq!(next.text(), "fine");
    assert!([answer.texts(), next.texts()].concat().contains(&"again 400"));
}

#[tokio::test]
async fn a_program_that_ends_is_told_as_any_worker_is() {
    for (sent, fate) in [
        (json!({"exit": 3}), "exited with status 3"),
        (json!({"kill": 11}), "was killed by signal 11"),
        (json!({"kill": 9}), "was killed by signal 9: it may have run out of memory"),
    ] {
        let mut instance = started().await;
        let answer = instance.invoke(sent).await;
        assert_eq!(answer.failure(), ("worker_exited", &*format!("the function's process {fate}")));
        assert!(answer.texts().contains(&"called"));
        assert!(answer.end.worker_exited);
        assert_eq!(instance.status_when_terminated().await.code(), Some(1));
    }
}

#[tokio::test]
async fn a_program_that_cannot_start_says_why() {
    let (_instance, failed) = start(json!({"AT_START": "error"})).await;
    assert_eq!(failed.failure(), ("Config.Missing", "no ü"));
    let (_instance, ended) = start(json!({"AT_START": "exit"})).await;
    assert_eq!(ended.failure(), ("worker_exited", "the function's process exited with status 3"));

    let mut instance = Instance::start(Language::Binary, &[("bootstrap", "#!/bin/sh\n")]).await;
    instance.configure(json!({})).await;
    let refused = instance.ready().await;
    let (kind, message) = refused.failure();
    assert_eq!(kind, "handler_missing");
    assert!(message.ends_with("/bootstrap cannot be started: Permission denied (os error 13)"), "{message}");
}

#[tokio::test]
async fn a_bridge_that_is_told_to_go_takes_the_program_along() {
    let mut instance = started().await;
    let answer = instance.invoke(json!({"answer": "fine"})).await;
    assert_eq!(answer.text(), "fine");
    let ended = instance.hang_up();
    assert_eq!(ended.status().await.code(), Some(0));
}
