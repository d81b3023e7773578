use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;
use slipway_testkit::TestCaller;

use crate::harness::TestRunner;

/// The events of a log that is followed.
pub(crate) struct Followed {
    answer: Response,
    unread: String,
}

impl Followed {
    pub(crate) async fn new(
        runner: &TestRunner,
        path: &str,
        last: Option<&str>,
        caller: &TestCaller,
    ) -> Self {
        let mut request = runner.request(Method::GET, path, caller);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, unread: String::new() }
    }

    /// Returns the next event's id, type and data; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(String, String, String)> {
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let field = |name: &str| {
                    let value = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    value.unwrap_or_default().to_owned()
                };
                let fields = (field("id"), field("event"), field("data"));
                self.unread = String::from(rest);
                if !fields.2.is_empty() {
                    return Some(fields);
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_mins(2), self.answer.chunk()).await.unwrap();
            self.unread.push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
        }
    }

    /// Returns the texts of the next lines, and the id of the last.
    pub(crate) async fn lines(&mut self, count: usize) -> (Vec<String>, String) {
        let mut texts = Vec::new();
        let mut last = String::new();
        while texts.len() < count {
            let (id, _, data) = self.next().await.unwrap();
            let line: Value = serde_json::from_str(&data).unwrap();
            texts.push(line["text"].as_str().unwrap().to_owned());
            last = id;
        }
        (texts, last)
    }
}
