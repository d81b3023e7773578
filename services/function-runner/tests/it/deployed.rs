use reqwest::{Method, Response};
use serde_json::Value;
use slipway_testkit::TestCaller;

use crate::harness::{TestRunner, eventually};

/// A deployed function and its owner.
pub(crate) struct Deployed<'a> {
    pub(crate) runner: &'a TestRunner,
    pub(crate) owner: TestCaller,
    pub(crate) id: String,
}

impl<'a> Deployed<'a> {
    pub(crate) async fn new(runner: &'a TestRunner, source: &str) -> Self {
        Self::named(runner, runner.person(), "hello", source).await
    }

    pub(crate) async fn named(runner: &'a TestRunner, owner: TestCaller, name: &str, source: &str) -> Self {
        let answer = runner.deploy(name, &[("main.py", source)], &owner).await;
        let id = answer["function"]["id"].as_str().unwrap().to_owned();
        Self { runner, owner, id }
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/functions/{}{rest}", self.id)
    }

    pub(crate) async fn configure(&self, config: Value) {
        let request = self.runner.request(Method::PATCH, &self.path(""), &self.owner).json(&config);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }

    pub(crate) async fn call(&self, call: &Value) -> Response {
        let request = self.runner.request(Method::POST, &self.path("/invoke"), &self.owner).json(call);
        request.send().await.unwrap()
    }

    /// Calls and expects an answer of the handler's.
    pub(crate) async fn answer(&self, call: &Value) -> Value {
        let answer = self.call(call).await;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{body:#}");
        body
    }

    /// Calls and waits for nothing; returns the execution.
    pub(crate) async fn send(&self, call: &Value) -> String {
        let answer = self.try_send(call).await;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 202, "{body:#}");
        body["execution_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn try_send(&self, call: &Value) -> Response {
        let path = self.path("/invoke?mode=async");
        self.runner.request(Method::POST, &path, &self.owner).json(call).send().await.unwrap()
    }

    /// Waits until a run stands like `status`; returns it.
    pub(crate) async fn becomes(&self, execution: &str, status: &str) -> Value {
        let mut run = Value::Null;
        eventually(&format!("the run is {status}"), async || {
            run = self.execution(execution).await;
            assert!(run["finished_at"].is_null() || run["status"] == status, "{run:#}");
            run["status"] == status
        })
        .await;
        run
    }

    /// Asks for something to be done about a run: `cancel` or `replay`.
    pub(crate) async fn about(&self, execution: &str, what: &str) -> Response {
        let path = format!("/api/v1/executions/{execution}/{what}");
        self.runner.request(Method::POST, &path, &self.owner).send().await.unwrap()
    }

    pub(crate) async fn execution(&self, id: &str) -> Value {
        self.runner.read(&format!("/api/v1/executions/{id}"), &self.owner).await
    }

    /// Returns the texts that a run printed, oldest first.
    pub(crate) async fn printed(&self, execution: &str) -> Vec<String> {
        let path = self.path(&format!("/logs?limit=100&execution_id={execution}"));
        let lines = self.runner.read(&path, &self.owner).await;
        let texts = lines["items"].as_array().unwrap().iter().rev();
        texts.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    }
}
