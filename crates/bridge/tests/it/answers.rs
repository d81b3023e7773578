//! What a handler is given, and what becomes of what it returns.

use serde_json::{Value, json};
use slipway_bridge::protocol::InvokeHead;

use crate::instance::{Instance, Language, head};

/// Returns the status, the headers but the content type, the content type, and the body as text.
async fn answer(instance: &mut Instance, case: &str) -> (u16, Vec<(String, String)>, Option<String>, String) {
    let answer = instance.invoke(json!(case)).await;
    let head = answer.head();
    let (types, headers): (Vec<_>, Vec<_>) =
        head.headers.clone().into_iter().partition(|(name, _)| name == "content-type");
    (head.status_code, headers, types.into_iter().next().map(|(_, value)| value), answer.text().to_owned())
}

const PYTHON_SHAPES: &str = r"
def handle(request, context):
    return eval(request.body)
";
const NODE_SHAPES: &str = "export default (request) => eval(`(${request.body})`)";

#[tokio::test]
async fn answers_take_every_shape() {
    let mut python = Instance::python(PYTHON_SHAPES).await;
    let mut node = Instance::node(NODE_SHAPES).await;
    let json = "application/json";
    let cases = [
        ("None", "null", 200, Some(json), "null"),
        ("{'a': [1, True, 'ü']}", "{a: [1, true, 'ü']}", 200, Some(json), r#"{"a":[1,true,"ü"]}"#),
        ("3", "3", 200, Some(json), "3"),
        ("'text ü'", "'text ü'", 200, Some("text/plain; charset=utf-8"), "text ü"),
        ("b'bytes'", "Buffer.from('bytes')", 200, Some("application/octet-stream"), "bytes"),
        ("{'body': {'a': 1}}", "{body: {a: 1}}", 200, Some(json), r#"{"a":1}"#),
        (
            "{'status_code': 404, 'body': 'no'}",
            "{status_code: 404, body: 'no'}",
            404,
            Some("text/plain; charset=utf-8"),
            "no",
        ),
        ("{'status_code': 204}", "{status_code: 204}", 204, None, ""),
        ("{'body': None}", "{body: null}", 200, None, ""),
        ("{'body': 1, 'more': 2}", "{body: 1, more: 2}", 200, Some(json), r#"{"body":1,"more":2}"#),
        ("{'headers': {}}", "{headers: {}}", 200, Some(json), r#"{"headers":{}}"#),
    ];
    for (in_python, in_node, status, content_type, body) in cases {
        let expected = (status, vec![], content_type.map(str::to_owned), body.to_owned());
        assert_eq!(answer(&mut python, in_python).await, expected, "{in_python}");
        assert_eq!(answer(&mut node, in_node).await, expected, "{in_node}");
    }
}

#[tokio::test]
async fn headers_are_kept_and_their_names_lowered() {
    let mut python = Instance::python(PYTHON_SHAPES).await;
    let mut node = Instance::node(NODE_SHAPES).await;
    let case =
        "{'headers': {'X-One': 1, 'Set-Cookie': ['a=1', 'b=2'], 'Content-Type': 'text/css'}, 'body': 'a'}";
    let pairs = [("x-one", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let expected = (200, pairs, Some("text/css".to_owned()), "a".to_owned());
    assert_eq!(answer(&mut python, case).await, expected);
    assert_eq!(answer(&mut node, case).await, expected);
}

#[tokio::test]
async fn answers_that_cannot_be_sent_are_told() {
    let mut python = Instance::python(PYTHON_SHAPES).await;
    let mut node = Instance::node(NODE_SHAPES).await;
    let status = "status_code has to be a number from 200 to 599, not ";
    let in_python = [
        ("{1, 2}", "the answer is not JSON: Object of type set is not JSON serializable".to_owned()),
        (
            "float('nan')",
            "the answer is not JSON: Out of range float values are not JSON compliant".to_owned(),
        ),
        ("'\\ud800'", "the answer is not UTF-8: surrogates not allowed".to_owned()),
        ("{'status_code': 'x', 'body': 1}", format!("{status}'x'")),
        ("{'status_code': True, 'body': 1}", format!("{status}True")),
        ("{'status_code': 100, 'body': 1}", format!("{status}100")),
        ("{'headers': [1], 'body': 1}", "headers has to be a dict of names and values".to_owned()),
        ("{'headers': {'a b': 1}, 'body': 1}", "'a b' is no name of a header".to_owned()),
        (
            "{'headers': {'a': 'x\\r\\ny'}, 'body': 1}",
            "the value of the header a holds characters that no header can".to_owned(),
        ),
        (
            "{'headers': {'a': '\\ud800'}, 'body': 1}",
            "the answer is not UTF-8: surrogates not allowed".to_owned(),
        ),
        (
            "bytes(64 * 1024 * 1024 + 1)",
            "the answer is 67108865 bytes, and at most 67108864 can be sent".to_owned(),
        ),
    ];
    for (case, message) in in_python {
        let answer = python.invoke(json!(case)).await;
        assert_eq!(answer.failure(), ("invalid_answer", &*message), "{case}");
    }
    let in_node = [
        ("() => 1", "the answer is not JSON: a function is no JSON value".to_owned()),
        ("1n", "the answer is not JSON: Do not know how to serialize a BigInt".to_owned()),
        ("{status_code: 'x', body: 1}", format!("{status}'x'")),
        ("{headers: [1], body: 1}", "headers has to be an object of names and values".to_owned()),
        ("{headers: {'a b': 1}, body: 1}", "a b is no name of a header".to_owned()),
        (
            "{headers: {a: 'x\\ny'}, body: 1}",
            "the value of the header a holds characters that no header can".to_owned(),
        ),
        (
            "{headers: {a: '\\ud800'}, body: 1}",
            "the value of the header a holds characters that no header can".to_owned(),
        ),
        (
            "Buffer.alloc(64 * 1024 * 1024 + 1)",
            "the answer is 67108865 bytes, and at most 67108864 can be sent".to_owned(),
        ),
    ];
    for (case, message) in in_node {
        let answer = node.invoke(json!(case)).await;
        assert_eq!(answer.failure(), ("invalid_answer", &*message), "{case}");
    }
    assert_eq!(python.invoke(json!("'goes on'")).await.text(), "goes on");
    assert_eq!(node.invoke(json!("'goes on'")).await.text(), "goes on");
}

const PYTHON_ECHO: &str = r#"
def handle(request, context):
    assert request["path"] == request.path and not hasattr(request, "nothing")
    return {**request, "raw": list(request["raw"])}
"#;
const NODE_ECHO: &str = "export default (request) => ({ ...request, raw: [...request.raw] })";

#[tokio::test]
async fn a_request_reaches_the_handler_whole() {
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let sent = InvokeHead {
        method: "PATCH".into(),
        path: "/a/ü".into(),
        query: pairs(&[("a", "1"), ("b", "ü"), ("a", "2"), ("__proto__", "x")]),
        headers: pairs(&[
            ("content-type", "application/merge-patch+json; charset=utf-8"),
            ("x-a", "1"),
            ("x-a", "2"),
        ]),
        ..head()
    };
    for (language, code) in Language::ALL.into_iter().zip([PYTHON_ECHO, NODE_ECHO]) {
        let mut instance = Instance::of(language, code).await;
        let echoed = instance.invoke_with(&sent, r#"{"ü":[1]}"#.as_bytes()).await.json();
        assert_eq!(echoed["method"], "PATCH");
        assert_eq!(echoed["path"], "/a/ü");
        assert_eq!(echoed["query"], json!({ "a": "1,2", "b": "ü", "__proto__": "x" }), "{language:?}");
        assert_eq!(echoed["headers"]["x-a"], "1, 2");
        assert_eq!(echoed["body"], json!({ "ü": [1] }));
        assert_eq!(echoed["raw"], json!(r#"{"ü":[1]}"#.as_bytes()));
    }
}

#[tokio::test]
async fn a_body_is_json_where_it_is_json_else_text_else_nothing() {
    let cases: [(&str, &[u8], Value); 7] = [
        ("application/json", b"{\"a\":1}", json!({ "a": 1 })),
        ("application/json", b"{broken", json!("{broken")),
        ("", b"[1]", json!([1])),
        ("text/plain", b"[1]", json!("[1]")),
        ("application/x-www-form-urlencoded", b"a=1", json!("a=1")),
        ("application/octet-stream", b"\xff\xfe", Value::Null),
        ("application/json", b"", Value::Null),
    ];
    for (language, code) in Language::ALL.into_iter().zip([PYTHON_ECHO, NODE_ECHO]) {
        let mut instance = Instance::of(language, code).await;
        for (content_type, body, expected) in &cases {
            let mut sent = head();
            sent.headers = Vec::from_iter(
                (!content_type.is_empty()).then(|| ("content-type".to_owned(), (*content_type).to_owned())),
            );
            let echoed = instance.invoke_with(&sent, body).await.json();
            assert_eq!(echoed["body"], *expected, "{language:?} {content_type}");
        }
    }
}

#[tokio::test]
async fn the_context_tells_of_the_call() {
    let python = r#"
import os
from datetime import datetime, timezone
async def handle(request, context):
    left = (context.deadline - datetime.now(timezone.utc)).total_seconds() * 1000
    return [context.execution_id, context.function_name, context.function_version, context.env["GREETING"],
            os.environ["GREETING"], 0 < context.remaining_ms() <= 30000, 0 < left <= 30001, context.traceparent]
"#;
    let node = r"
export default async function handle(request, context) {
    const left = context.deadline - Date.now();
    return [context.execution_id, context.function_name, context.function_version, context.env.GREETING,
            process.env.GREETING, 0 < context.remaining_ms() && context.remaining_ms() <= 30000,
            0 < left && left <= 30001, context.traceparent];
}";
    let sent = InvokeHead { traceparent: Some("00-ab-cd-01".into()), ..head() };
    for (language, code) in Language::ALL.into_iter().zip([python, node]) {
        let told = Instance::of(language, code).await.invoke_with(&sent, b"").await.json();
        let expected = json!([head().execution_id, "hello", 3, "hé", "hé", true, true, "00-ab-cd-01"]);
        assert_eq!(told, expected, "{language:?}");
    }
}

#[tokio::test]
async fn what_an_asynchronous_handler_keeps_between_calls_stays_usable() {
    let code = r#"
import asyncio
tasks = []
async def handle(request, context):
    if not tasks:
        tasks.append(asyncio.get_running_loop().create_future())
        return "kept"
    tasks[0].set_result("the same loop")
    return await tasks[0]
"#;
    let mut instance = Instance::python(code).await;
    assert_eq!(instance.invoke(json!(null)).await.text(), "kept");
    assert_eq!(instance.invoke(json!(null)).await.text(), "the same loop");
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let body: Vec<u8> = (0..5 * 1024 * 1024_u32).map(|at| (at % 251) as u8).collect();
    let mut sent = head();
    sent.headers = vec![("content-type".into(), "application/octet-stream".into())];
    let codes =
        ["def handle(request, context): return request.raw", "export default (request) => request.raw"];
    for (language, code) in Language::ALL.into_iter().zip(codes) {
        let mut instance = Instance::of(language, code).await;
        for _ in 0..2 {
            let answer = instance.invoke_with(&sent, &body).await;
            answer.head();
            assert!(answer.body == body, "{language:?}");
        }
    }
}

#[tokio::test]
async fn a_failure_whose_message_is_cut_within_a_character_is_told() {
    let mut node =
        Instance::node("export default () => { throw new Error('x'.repeat(8191) + '\u{1f600}') }").await;
    let mut python =
        Instance::python("def handle(request, context):\n    raise ValueError('\\ud83d')\n").await;
    let expected = format!("{}\u{fffd}", "x".repeat(8191));
    for _ in 0..2 {
        assert_eq!(node.invoke(json!(1)).await.failure(), ("Error", &*expected));
        assert_eq!(python.invoke(json!(1)).await.failure(), ("ValueError", "?"));
    }
}
