use reqwest::{Method, Response};
use serde_json::Value;
use slipway_testkit::TestCaller;

use crate::harness::TestRunner;

/// A deployed function and its owner.
pub(crate) struct Deployed<'a> {
    pub(crate) runner: &'a TestRunner,
    pub(crate) owner: TestCaller,
    pub(crate) id: String,
}

impl<'a> Deployed<'a> {
    pub(crate) async fn new(runner: &'a TestRunner, source: &str) -> Self {
        let owner = runner.person();
        let answer = runner.deploy("hello", &[("main.py", source)], &owner).await;
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
