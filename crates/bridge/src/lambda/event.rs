//! The event of a call, in the shape of a Lambda function URL's (the payload format 2.0 of API Gateway).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use slipway_bridge::protocol::InvokeHead;

const ROUTE: &str = "$default";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'call> {
    version: &'static str,
    route_key: &'static str,
    raw_path: &'call str,
    raw_query_string: String,
    headers: BTreeMap<&'call str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<&'call str, String>,
    request_context: RequestContext<'call>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'call> {
    account_id: &'static str,
    api_id: &'call str,
    domain_name: &'call str,
    domain_prefix: &'call str,
    http: Http<'call>,
    request_id: &'call str,
    route_key: &'static str,
    stage: &'static str,
    time_epoch: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'call> {
    method: &'call str,
    path: &'call str,
    protocol: &'static str,
    source_ip: &'static str,
    user_agent: &'call str,
}

/// Writes a call as the event that the program is given. `now_ms` is the time since 1970.
pub(crate) fn write(
    head: &InvokeHead,
    body: Vec<u8>,
    function: &str,
    now_ms: u64,
) -> serde_json::Result<Vec<u8>> {
    let header =
        |wanted: &str| head.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| &**value);
    let path = encoded(&head.path, b"/%");
    let (body, is_base64_encoded) = text_of(body);
    serde_json::to_vec(&Event {
        version: "2.0",
        route_key: ROUTE,
        raw_path: &path,
        raw_query_string: query_string(&head.query),
        headers: joined(&head.headers),
        query_string_parameters: joined(&head.query),
        request_context: RequestContext {
            account_id: "anonymous",
            api_id: function,
            domain_name: header("host").unwrap_or("localhost"),
            domain_prefix: function,
            http: Http {
                method: &head.method,
                path: &path,
                protocol: "HTTP/1.1",
                source_ip: "127.0.0.1",
                user_agent: header("user-agent").unwrap_or_default(),
            },
            request_id: &head.execution_id,
            route_key: ROUTE,
            stage: ROUTE,
            time_epoch: now_ms,
        },
        body,
        is_base64_encoded,
    })
}

/// Returns a body as text, in base64 where it is none.
fn text_of(body: Vec<u8>) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    match String::from_utf8(body) {
        Ok(text) => (Some(text), false),
        Err(bytes) => (Some(BASE64_STANDARD.encode(bytes.as_bytes())), true),
    }
}

fn joined(pairs: &[(String, String)]) -> BTreeMap<&str, String> {
    let mut values: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in pairs {
        values
            .entry(name)
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(value);
            })
            .or_insert_with(|| value.clone());
    }
    values
}

fn query_string(query: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| format!("{}={}", encoded(name, b""), encoded(value, b""));
    query.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Percent-encodes what is neither unreserved (RFC 3986) nor `kept`.
fn encoded(text: &str, kept: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn event(head: &InvokeHead, body: &[u8]) -> Value {
        serde_json::from_slice(&write(head, body.to_vec(), "hello", 1_700_000_000_000).unwrap()).unwrap()
    }

    fn head() -> InvokeHead {
        InvokeHead {
            execution_id: "e-1".into(),
            deadline_ms: 1_000,
            traceparent: None,
            method: "POST".into(),
            path: "/a b/ü%2Fc".into(),
            query: pairs(&[("x", "1&2"), ("x", "ü"), ("y", "")]),
            headers: pairs(&[
                ("accept", "a"),
                ("accept", "b"),
                ("host", "example.org"),
                ("user-agent", "me"),
            ]),
        }
    }

    #[test]
    fn a_call_has_the_shape_of_a_function_urls_event() {
        assert_eq!(
            event(&head(), b"{\"a\":1}"),
            json!({
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": "/a%20b/%C3%BC%2Fc",
                "rawQueryString": "x=1%262&x=%C3%BC&y=",
                "headers": {"accept": "a,b", "host": "example.org", "user-agent": "me"},
                "queryStringParameters": {"x": "1&2,ü", "y": ""},
                "requestContext": {
                    "accountId": "anonymous",
                    "apiId": "hello",
                    "domainName": "example.org",
                    "domainPrefix": "hello",
                    "http": {
                        "method": "POST",
                        "path": "/a%20b/%C3%BC%2Fc",
                        "protocol": "HTTP/1.1",
                        "sourceIp": "127.0.0.1",
                        "userAgent": "me",
                    },
                    "requestId": "e-1",
                    "routeKey": "$default",
                    "stage": "$default",
                    "timeEpoch": 1_700_000_000_000_u64,
                },
                "body": "{\"a\":1}",
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn a_body_that_is_no_text_goes_in_base64_and_an_empty_one_not_at_all() {
        let bytes = event(&head(), b"\xff\x00");
        assert_eq!((&bytes["body"], &bytes["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
        let empty = event(&head(), b"");
        assert_eq!((empty.get("body"), &empty["isBase64Encoded"]), (None, &json!(false)));
    }
}
