use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use slipway_bridge::protocol::{HeadError, InvokeHead};
use slipway_kernel::ExecutionId;
use slipway_models::functions::InvokeRequest;
use slipway_models::problem::FieldError;
use url::form_urlencoded;

use crate::domain::Input;

/// The most text of a path, a query and headers together. Written as JSON it stays under the protocol's limit,
/// whatever is in it.
const MAX_HEAD_TEXT: usize = 32 * 1024;

/// What concerns the way of a request, or who sends it, and not what it asks for. `traceparent` goes beside the headers.
const OF_THE_CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
];

/// A request to a handler, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    method: String,
    path: String,
    /// The parameters, decoded.
    query: Vec<(String, String)>,
    /// The names are in lower case.
    headers: Vec<(String, String)>,
    #[serde(skip)]
    pub(crate) body: Vec<u8>,
    /// The trace that the call belongs to.
    pub(crate) traceparent: Option<String>,
}

impl TryFrom<InvokeRequest> for Call {
    type Error = Vec<FieldError>;

    /// Checks what a client asks for. Credentials and the platform's own headers are left out: they are not the
    /// function's business.
    fn try_from(request: InvokeRequest) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let method = request.method.unwrap_or_else(|| "POST".to_owned());
        if Method::from_bytes(method.as_bytes()).is_err() {
            faults.push(fault("/method", "is no HTTP method"));
        }
        let path = request.path.unwrap_or_else(|| "/".to_owned());
        if !path.starts_with('/') || path.chars().any(char::is_control) {
            faults.push(fault("/path", "must begin with / and hold no control characters"));
        }
        let mut headers = BTreeMap::new();
        for (name, value) in request.headers {
            if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(&value).is_err() {
                let name = name.replace('~', "~0").replace('/', "~1");
                faults.push(fault(&format!("/headers/{name}"), "is no HTTP header"));
            } else if !is_kept_from_handlers(&name) {
                headers.insert(name.to_ascii_lowercase(), value);
            }
        }
        let texts = headers.iter().chain(&request.query).map(|(name, value)| name.len() + value.len());
        if texts.sum::<usize>() + path.len() > MAX_HEAD_TEXT {
            let detail = format!("path, query and headers are longer than {MAX_HEAD_TEXT} bytes together");
            faults.push(fault("", &detail));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let body = request.body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        if !body.is_empty() {
            headers.entry("content-type".to_owned()).or_insert_with(|| "application/json".to_owned());
        }
        let (query, headers) = (request.query.into_iter().collect(), headers.into_iter().collect());
        Ok(Self { method, path, query, headers, body, traceparent: None })
    }
}

/// Says that path, query and headers of a request are too long for a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("path, query and headers are longer than {MAX_HEAD_TEXT} bytes together")]
pub(crate) struct HeadTooLong;

impl Call {
    /// Returns the call as it is kept for later.
    pub(crate) fn into_input(mut self) -> Result<Input, serde_json::Error> {
        let body = std::mem::take(&mut self.body);
        Ok(Input { head: serde_json::to_value(self)?, body })
    }

    /// Reads a call that was kept.
    pub(crate) fn from_input(input: Input) -> Result<Self, serde_json::Error> {
        let head: Self = serde_json::from_value(input.head)?;
        Ok(Self { body: input.body, ..head })
    }

    /// Makes the call of a request that came by HTTP. `path` is what lies below the function's name, and is handed on
    /// with its percent-encoding; `query` is as it came.
    pub(crate) fn by_http<'a>(
        method: &str,
        path: &str,
        query: &str,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        body: Vec<u8>,
    ) -> Result<Self, HeadTooLong> {
        let path = if path.is_empty() { "/" } else { path };
        let query: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let headers: Vec<_> = headers
            .filter(|(name, _)| !is_kept_from_handlers(name) && !OF_THE_CONNECTION.contains(name))
            .map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned()))
            .collect();
        let texts = headers.iter().chain(&query).map(|(name, value)| name.len() + value.len());
        if texts.sum::<usize>() + path.len() > MAX_HEAD_TEXT {
            return Err(HeadTooLong);
        }
        Ok(Self { method: method.to_owned(), path: path.to_owned(), query, headers, body, traceparent: None })
    }

    /// Writes all but the body as an instance reads it.
    pub(crate) fn head(&self, id: ExecutionId, deadline: Instant) -> Result<Vec<u8>, HeadError> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let head = InvokeHead {
            execution_id: id.to_string(),
            deadline_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            traceparent: self.traceparent.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
        };
        Ok(head.encode()?.to_vec())
    }
}

/// Credentials of the caller and headers in which the platform speaks; `_` counts as `-`, as it does to many servers.
fn is_kept_from_handlers(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    matches!(name.as_str(), "authorization" | "proxy-authorization" | "cookie")
        || name.starts_with("x-user-")
        || name.starts_with("x-slipway-")
}

fn fault(pointer: &str, detail: &str) -> FieldError {
    FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(request: serde_json::Value) -> Result<Call, Vec<String>> {
        let request: InvokeRequest = serde_json::from_value(request).unwrap();
        Call::try_from(request).map_err(|faults| faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn an_empty_request_is_a_post_to_the_root_without_a_body() {
        let call = check(json!({})).unwrap();
        assert_eq!((call.method.as_str(), call.path.as_str(), call.body.len()), ("POST", "/", 0));
        assert!(call.headers.is_empty());
    }

    #[test]
    fn a_body_is_json_and_says_so() {
        let call = check(json!({ "body": { "a": [1, null] } })).unwrap();
        assert_eq!(call.body, br#"{"a":[1,null]}"#);
        assert_eq!(call.headers, [("content-type".to_owned(), "application/json".to_owned())]);
    }

    #[test]
    fn credentials_and_the_platforms_headers_never_reach_a_handler() {
        let call = check(json!({ "headers": {
            "Authorization": "a", "COOKIE": "b", "X-User-Id": "c", "x_user_id": "d", "x-slipway-anything": "e",
            "X-Slipway_Owner": "f", "proxy-authorization": "g", "X-Mine": "kept",
        } }))
        .unwrap();
        assert_eq!(call.headers, [("x-mine".to_owned(), "kept".to_owned())]);
    }

    #[test]
    fn a_request_by_http_is_handed_on_as_it_came_but_for_what_is_not_the_functions() {
        let sent = [
            ("x-mine", &b"1"[..]),
            ("x-mine", b"2"),
            ("cookie", b"a"),
            ("authorization", b"b"),
            ("X_User_Id", b"c"),
            ("host", b"d"),
            ("connection", b"e"),
        ];
        let call =
            Call::by_http("PURGE", "/a%2Fb//c", "q=1&q=%C3%A4&empty", sent.into_iter(), vec![7]).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!((call.method.as_str(), call.path.as_str(), call.body), ("PURGE", "/a%2Fb//c", vec![7]));
        assert_eq!(call.headers, [pair("x-mine", "1"), pair("x-mine", "2")]);
        assert_eq!(call.query, [pair("q", "1"), pair("q", "ä"), pair("empty", "")]);
        let long = "x".repeat(MAX_HEAD_TEXT);
        assert_eq!(Call::by_http("GET", "", &long, sent.into_iter(), Vec::new()), Err(HeadTooLong));
    }

    #[test]
    fn what_is_kept_of_a_call_is_all_of_it_but_the_credentials() {
        let call = check(json!({
            "method": "PUT", "path": "/a", "query": { "q": "\u{0}" }, "body": { "n": 1 },
            "headers": { "authorization": "secret", "x-mine": "kept" },
        }))
        .unwrap();
        let input = call.clone().into_input().unwrap();
        assert!(!input.head.to_string().contains("secret"), "{}", input.head);
        assert_eq!(Call::from_input(input).unwrap(), call);
    }

    #[test]
    fn faults_are_named_by_their_fields() {
        let faults = check(json!({
            "method": "G T", "path": "no", "headers": { "a/b": "1", "ok": "1\n2" },
        }));
        assert_eq!(faults.unwrap_err(), ["/method", "/path", "/headers/a~1b", "/headers/ok"]);
        let faults = check(json!({ "query": { "q": "x".repeat(MAX_HEAD_TEXT) } }));
        assert_eq!(faults.unwrap_err(), [""]);
    }

    #[test]
    fn the_largest_head_that_is_let_through_can_be_sent() {
        let call = check(json!({ "query": { "": "\u{1}".repeat(MAX_HEAD_TEXT - 1) } })).unwrap();
        assert!(call.head(ExecutionId::generate(), Instant::now()).is_ok());
    }
}
