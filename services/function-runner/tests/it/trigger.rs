use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use slipway_testkit::TestCaller;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{TestRunner, eventually, problem};

const ECHO: &str = "
def handle(request, context):
    return {
        'status_code': 418,
        'headers': {'x-mine': 'yes', 'content-type': 'application/json', 'x-slipway-owner': 'me', 'connection': 'x-mine'},
        'body': {name: request[name] for name in ('method', 'path', 'query', 'headers', 'body')},
    }
";

/// A function that was deployed, and its owner.
struct Deployed<'a> {
    runner: &'a TestRunner,
    owner: TestCaller,
    path: String,
    trigger: String,
}

impl<'a> Deployed<'a> {
    async fn new(runner: &'a TestRunner, source: &str, config: &Value) -> Self {
        let owner = runner.person();
        let answer = runner.deploy("hello", &[("main.py", source)], &owner).await;
        let path = format!("/api/v1/functions/{}", answer["function"]["id"].as_str().unwrap());
        let trigger = answer["function"]["url"].as_str().unwrap().to_owned();
        assert_eq!(trigger, format!("/f/{}/hello", owner.identity.handle));
        let deployed = Self { runner, owner, path, trigger };
        deployed.configure(config).await;
        deployed
    }

    async fn configure(&self, config: &Value) {
        let patch = self.runner.request(Method::PATCH, &self.path, &self.owner).json(config);
        assert_eq!(patch.send().await.unwrap().status(), 200);
    }

    fn by_anybody(&self, method: Method, below: &str) -> RequestBuilder {
        self.runner.client.request(method, format!("{}{}{below}", self.runner.base, self.trigger))
    }

    async fn get(&self, below: &str) -> Response {
        self.by_anybody(Method::GET, below).send().await.unwrap()
    }

    async fn last_run(&self) -> Value {
        let runs = self.runner.read(&format!("{}/executions?limit=1", self.path), &self.owner).await;
        runs["items"][0].clone()
    }
}

#[tokio::test]
async fn the_answer_is_the_functions_own() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, ECHO, &json!({ "public": true })).await;

    let request = function
        .by_anybody(Method::from_bytes(b"PURGE").unwrap(), "/a%2Fb//c?q=1&q=%C3%A4")
        .header("x-mine", "1")
        .header("cookie", "secret=1")
        .header("content-type", "application/json")
        .body(r#"{"a":1}"#);
    let answer = request.send().await.unwrap();

    assert_eq!(answer.status(), 418);
    assert_eq!(answer.headers()["x-mine"], "yes");
    assert!(!answer.headers().contains_key("x-slipway-owner"));
    assert_eq!(answer.headers()["x-slipway-function-outcome"], "answered");
    let seen: Value = answer.json().await.unwrap();
    assert_eq!((&seen["method"], &seen["path"]), (&json!("PURGE"), &json!("/a%2Fb//c")));
    assert_eq!((&seen["query"], &seen["body"]), (&json!({ "q": "1,ä" }), &json!({ "a": 1 })));
    assert_eq!((&seen["headers"]["x-mine"], &seen["headers"]["cookie"]), (&json!("1"), &Value::Null));
    let run = function.last_run().await;
    assert_eq!((&run["trigger"], &run["status"]), (&json!("http"), &json!("succeeded")));
    assert_eq!((&run["status_code"], &run["result"]), (&json!(418), &seen));
}

#[tokio::test]
async fn what_is_not_public_is_its_owners_and_to_others_not_there() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, ECHO, &json!({})).await;
    let eve = runner.person();
    let handle = &function.owner.identity.handle;
    let others = [format!("/f/{handle}/other"), "/f/nobody/hello".to_owned(), format!("/f/{handle}/..x/y")];
    for path in [&function.trigger].into_iter().chain(&others) {
        let url = format!("{}{path}", runner.base);
        let anonymous = problem(runner.client.get(&url).send().await.unwrap()).await;
        let expected = "sign in first: there is no public function at this path";
        assert_eq!(anonymous, (401, "unauthenticated".to_owned(), expected.to_owned()), "{path}");
        let hers = problem(runner.get(path, &eve).await).await;
        assert_eq!(hers, (404, "not_found".to_owned(), "there is no such function".to_owned()), "{path}");
    }
    assert_eq!(runner.get(&function.trigger, &function.owner).await.status(), 418);
    let forged = function.by_anybody(Method::GET, "").header("authorization", "Bearer a.b.c");
    assert_eq!(forged.send().await.unwrap().status(), 401);

    function.configure(&json!({ "public": true })).await;
    assert_eq!(function.get("").await.status(), 418);
    assert_eq!(runner.get(&function.trigger, &eve).await.status(), 418);
    function.configure(&json!({ "public": false })).await;
    assert_eq!(function.get("").await.status(), 401);
    assert_eq!(runner.delete(&function.path, &function.owner).await.status(), 204);
    assert_eq!(runner.get(&function.trigger, &function.owner).await.status(), 404);
}

#[tokio::test]
async fn a_public_function_is_found_after_a_restart() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, ECHO, &json!({ "public": true })).await;
    let trigger = function.trigger.clone();
    let runner = TestRunner::start_on(runner.stop(), &[]).await;
    let answer = runner.client.get(format!("{}{trigger}", runner.base)).send().await.unwrap();
    assert_eq!(answer.status(), 418);
}

#[tokio::test]
async fn why_a_function_fails_is_for_its_owner_alone() {
    let runner = TestRunner::start().await;
    let source = "def handle(request, context): raise ValueError('the password is hunter2')";
    let function = Deployed::new(&runner, source, &json!({ "public": true })).await;

    let answer = function.get("").await;
    assert_eq!(answer.headers()["x-slipway-function-outcome"], "failed");
    let told = problem(answer).await;
    assert_eq!(told, (502, "function_failed".to_owned(), "the function failed".to_owned()));
    let (_, _, detail) = problem(runner.get(&function.trigger, &function.owner).await).await;
    assert!(detail.contains("hunter2"), "{detail}");
    assert_eq!(function.last_run().await["status"], "failed");
}

#[tokio::test]
async fn an_answer_without_a_body_has_none() {
    let runner = TestRunner::start().await;
    let source = "
def handle(request, context):
    return {'status_code': int(request['query'].get('status', 200)), 'headers': {'x-mine': request['method']}, 'body': 'x' * 9}
";
    let function = Deployed::new(&runner, source, &json!({ "public": true })).await;
    for (method, below) in [
        (Method::HEAD, ""),
        (Method::GET, "?status=204"),
        (Method::GET, "?status=304"),
        (Method::HEAD, "?status=404"),
    ] {
        let answer = function.by_anybody(method.clone(), below).send().await.unwrap();
        assert_eq!(answer.headers()["x-mine"], method.as_str());
        assert_eq!(answer.bytes().await.unwrap().len(), 0, "{method} {below}");
    }
    let answer = function.by_anybody(Method::OPTIONS, "").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "x".repeat(9));
}

#[tokio::test]
async fn an_answer_larger_than_what_is_held_comes_whole() {
    let runner = TestRunner::start().await;
    let source = "
def handle(request, context):
    return {'headers': {'content-type': 'text/plain'}, 'body': 'ä0123456789' * 2000000}
";
    let config = json!({ "public": true, "memory_mb": 512, "timeout_ms": 120_000 });
    let function = Deployed::new(&runner, source, &config).await;

    let body = function.get("").await.bytes().await.unwrap();

    assert_eq!(body.len(), 24_000_000);
    assert!(body.chunks(12).all(|chunk| chunk == "ä0123456789".as_bytes()));
    let run = function.last_run().await;
    assert_eq!((&run["status"], &run["result_truncated"]), (&json!("succeeded"), &json!(true)));
    assert!(run["result"].as_str().unwrap().starts_with("ä0123456789ä"));
}

#[tokio::test]
async fn a_run_goes_on_when_its_client_is_gone() {
    let runner = TestRunner::start().await;
    let source = "
import time

def handle(request, context):
    time.sleep(1)
    return {'headers': {'content-type': 'text/plain'}, 'body': 'x' * 4000000}
";
    let config = json!({ "public": true, "timeout_ms": 120_000 });
    let function = Deployed::new(&runner, source, &config).await;
    let impatient = function.by_anybody(Method::GET, "").timeout(Duration::from_millis(500)).send().await;
    assert!(impatient.is_err());
    eventually("the run has ended", async || function.last_run().await["status"] == "succeeded").await;
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, ECHO, &json!({ "public": true })).await;
    // By hand: what is announced is refused before it is sent.
    let head = format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 8388609\r\n\r\n", function.trigger);
    let mut stream = TcpStream::connect(runner.base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    let head = function.get(&format!("?q={}", "x".repeat(33 * 1024))).await;
    let (status, code, _) = problem(head).await;
    assert_eq!((status, code.as_str()), (431, "request_head_too_large"));
    assert_eq!(function.last_run().await, Value::Null, "nothing ran");
}

#[tokio::test]
async fn a_warm_call_asks_the_database_for_nothing() {
    let runner = TestRunner::start().await;
    let function = Deployed::new(&runner, ECHO, &json!({ "public": true })).await;
    assert_eq!(function.get("").await.status(), 418);
    runner.surroundings().database.stop();
    assert_eq!(function.get("").await.status(), 418);
    runner.surroundings().database.start();
}
