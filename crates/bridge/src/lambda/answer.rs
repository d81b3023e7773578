//! What the program answered, as an HTTP answer.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use slipway_bridge::protocol::Head;

/// The type of a streamed answer: a prelude in JSON, eight zero bytes, and the body.
const INTEGRATION_RESPONSE: &str = "application/vnd.awslambda.http-integration-response";
const PRELUDE_END: [u8; 8] = [0; 8];
const JSON: &str = "application/json";

/// The answer of a function URL (payload format 2.0); also the prelude of a streamed one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    status_code: Option<u16>,
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Says whether an object describes an answer, or is one.
#[derive(Deserialize)]
struct Probe {
    #[serde(rename = "statusCode")]
    status_code: Option<IgnoredAny>,
}

/// Reads an answer: an object with a `statusCode` describes one, all else is the body. The error says what is wrong.
pub(crate) fn read(content_type: Option<&str>, bytes: Bytes) -> Result<(Head, Bytes), String> {
    if content_type == Some(INTEGRATION_RESPONSE) {
        return read_streamed(&bytes);
    }
    if describes(&bytes) {
        return read_described(&bytes);
    }
    let content_type = if serde_json::from_slice::<IgnoredAny>(&bytes).is_ok() {
        JSON
    } else if std::str::from_utf8(&bytes).is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    };
    let mut head = Head { status_code: 200, headers: Vec::new() };
    add_content_type(&mut head, content_type, &bytes);
    Ok((head, bytes))
}

fn describes(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice::<Probe>(bytes).is_ok_and(|probe| probe.status_code.is_some())
}

fn read_described(bytes: &[u8]) -> Result<(Head, Bytes), String> {
    let described: Described = serde_json::from_slice(bytes).map_err(|fault| refusal(&fault))?;
    let (mut head, body) = described.into_parts()?;
    add_content_type(&mut head, JSON, &body);
    Ok((head, body))
}

fn read_streamed(bytes: &Bytes) -> Result<(Head, Bytes), String> {
    let end = bytes.windows(PRELUDE_END.len()).position(|window| window == PRELUDE_END);
    let end = end.ok_or("the streamed answer has no eight zero bytes behind its prelude")?;
    let prelude: Described = serde_json::from_slice(&bytes[..end]).map_err(|fault| refusal(&fault))?;
    let (mut head, _) = prelude.into_parts()?;
    let body = bytes.slice(end + PRELUDE_END.len()..);
    add_content_type(&mut head, "application/octet-stream", &body);
    Ok((head, body))
}

fn refusal(fault: &serde_json::Error) -> String {
    format!("the answer has a statusCode and is no answer of a function URL: {fault}")
}

fn add_content_type(head: &mut Head, content_type: &str, body: &[u8]) {
    if !body.is_empty() && !head.headers.iter().any(|(name, _)| name == "content-type") {
        head.headers.push(("content-type".to_owned(), content_type.to_owned()));
    }
}

impl Described {
    fn into_parts(self) -> Result<(Head, Bytes), String> {
        let status_code = self.status_code.unwrap_or(200);
        if !(200..=599).contains(&status_code) {
            return Err(format!("statusCode has to be a number from 200 to 599, not {status_code}"));
        }
        let mut headers = Vec::new();
        for (name, value) in self.headers.unwrap_or_default() {
            let value = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                _ => return Err(format!("the header {name:.100} has to be text")),
            };
            headers.push((name.to_ascii_lowercase(), value));
        }
        headers.extend(self.cookies.into_iter().flatten().map(|cookie| ("set-cookie".to_owned(), cookie)));
        let body = self.body.unwrap_or_default();
        let body = if self.is_base64_encoded {
            BASE64_STANDARD.decode(body).map_err(|fault| format!("the body is not base64: {fault}"))?
        } else {
            body.into_bytes()
        };
        Ok((Head { status_code, headers }, body.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status, the headers and the body.
    type Answered = Result<(u16, String, String), String>;

    fn text(content_type: Option<&str>, bytes: &[u8]) -> Answered {
        let (head, body) = read(content_type, Bytes::copy_from_slice(bytes))?;
        let headers: Vec<_> = head.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        Ok((head.status_code, headers.join("; "), String::from_utf8_lossy(&body).into_owned()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is compared with what is")]
    fn answered(status: u16, headers: &str, body: &str) -> Answered {
        Ok((status, headers.to_owned(), body.to_owned()))
    }

    #[test]
    fn an_object_with_a_status_describes_the_answer() {
        let described = br#"{"statusCode":404,"headers":{"X-A":"1","x-b":2,"Content-Type":"text/html"},
            "multiValueHeaders":{"x-a":["1"]},"cookies":["a=1","b=2"],"body":"<p>"}"#;
        assert_eq!(
            text(None, described),
            answered(404, "content-type: text/html; x-a: 1; x-b: 2; set-cookie: a=1; set-cookie: b=2", "<p>")
        );
        let encoded = br#"{"statusCode":200,"body":"aGk=","isBase64Encoded":true,"headers":null}"#;
        assert_eq!(text(None, encoded), answered(200, "content-type: application/json", "hi"));
        assert_eq!(text(None, br#"{"statusCode":204}"#), answered(204, "", ""));
    }

    #[test]
    fn what_describes_no_answer_is_the_body() {
        let json = "content-type: application/json";
        for body in [r#"{"a":{"statusCode":1}}"#, r#""text""#, "[404]", "null", r#"{"statusCode":null}"#] {
            assert_eq!(text(None, body.as_bytes()), answered(200, json, body));
        }
        assert_eq!(text(None, b"{echo"), answered(200, "content-type: text/plain; charset=utf-8", "{echo"));
        assert_eq!(text(None, b"\xff"), answered(200, "content-type: application/octet-stream", "\u{fffd}"));
        assert_eq!(text(None, b""), answered(200, "", ""));
    }

    #[test]
    fn a_streamed_answer_brings_its_head_before_eight_zero_bytes() {
        let streamed =
            [br#"{"statusCode":201,"headers":{"content-type":"text/html"}}"#, &[0; 8][..], b"<p>\0"];
        let bytes = streamed.concat();
        assert_eq!(
            text(Some(INTEGRATION_RESPONSE), &bytes),
            answered(201, "content-type: text/html", "<p>\0")
        );
        let refused = text(Some(INTEGRATION_RESPONSE), br#"{"statusCode":201}"#).unwrap_err();
        assert_eq!(refused, "the streamed answer has no eight zero bytes behind its prelude");
    }

    #[test]
    fn a_described_answer_that_is_malformed_is_refused_by_its_fault() {
        for (answer, fault) in [
            (r#"{"statusCode":99}"#, "statusCode has to be a number from 200 to 599, not 99"),
            (r#"{"statusCode":200,"headers":{"a":[]}}"#, "the header a has to be text"),
            (r#"{"statusCode":200,"body":"?","isBase64Encoded":true}"#, "the body is not base64"),
            (
                r#"{"statusCode":200,"body":{}}"#,
                "the answer has a statusCode and is no answer of a function URL",
            ),
        ] {
            let refused = text(None, answer.as_bytes()).unwrap_err();
            assert!(refused.starts_with(fault), "{refused}");
        }
    }
}
