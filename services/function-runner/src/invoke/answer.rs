use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use slipway_bridge::protocol::{End, Frame, Head, Outcome};
use slipway_models::functions::ExecutionError;
use tokio::sync::mpsc::Sender;

use super::Log;
use crate::domain::Execution;
use crate::instances::{BridgeError, Frames};
use crate::records::Records;

/// The largest body of an answer, in bytes: it is held in memory.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// What is kept of a body that is relayed, in bytes: for the record.
const MAX_KEPT: usize = 1024 * 1024;
const MAX_KIND: usize = 200;
const MAX_MESSAGE: usize = 16 * 1024;
const MAX_TRACE: usize = 64 * 1024;
/// The statuses of an answer (RFC 9110, section 15): the same that the workers let through.
const STATUSES: RangeInclusive<u16> = 200..=599;

/// What a handler answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status_code: u16,
    pub(crate) headers: BTreeMap<String, String>,
    /// Of an answer that was relayed, its beginning.
    pub(crate) body: Vec<u8>,
    /// The size of the whole body.
    pub(crate) size: usize,
    pub(crate) usage: Usage,
}

/// What a run took, by the instance's own word.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) peak_memory_bytes: Option<i64>,
    pub(crate) cpu_ms: Option<f64>,
}

/// Says why there is no answer.
#[derive(Debug)]
pub(crate) enum AnswerFault {
    /// The handler failed.
    Handler {
        error: ExecutionError,
        usage: Usage,
        /// False when its worker is gone with it.
        is_reusable: bool,
    },
    /// The instance broke off, or broke the protocol.
    Instance(BridgeError),
    /// The answer is none that can be given on.
    Unusable(ExecutionError),
}

/// Where an answer goes while it comes: a bounded channel, so that a slow reader slows the handler down. The run goes
/// on when the reader is gone.
pub(crate) struct Relay(pub(crate) Sender<Piece>);

/// A piece of an answer.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Its status and its headers, in the order in which the handler sent them.
    Head(u16, Vec<(HeaderName, HeaderValue)>),
    /// A part of its body.
    Data(Bytes),
}

/// Reads the frames of one run to their end. Lines go into `log`, and to the records as the run goes on; the answer
/// goes to `relay` as it comes, or is kept whole.
pub(crate) async fn receive(
    mut frames: Frames<'_>,
    execution: &Execution,
    log: &mut Log,
    records: &Records,
    relay: Option<&Relay>,
) -> Result<Answer, AnswerFault> {
    let mut head = None;
    let mut body = Vec::new();
    let mut size = 0;
    let end = loop {
        let frame = match log.due() {
            None => frames.next().await,
            Some(due) => tokio::select! {
                frame = frames.next() => frame,
                () = tokio::time::sleep_until(due) => {
                    write(log, execution, records).await;
                    continue;
                }
            },
        };
        match frame.map_err(AnswerFault::Instance)? {
            Frame::Log(line) => log.keep(&line),
            Frame::Head(sent) => {
                if let Some(Relay(pieces)) = relay {
                    let _ = pieces.send(Piece::Head(checked_status(&sent)?, checked_headers(&sent)?)).await;
                }
                head = Some(sent);
            }
            Frame::Data(part) => {
                size += part.len();
                let most = if relay.is_some() { MAX_KEPT } else { MAX_BODY };
                let kept = part.len().min(most - body.len());
                if relay.is_none() && kept < part.len() {
                    return Err(unusable(format!("the answer is larger than {MAX_BODY} bytes")));
                }
                body.extend_from_slice(&part[..kept]);
                if let Some(Relay(pieces)) = relay {
                    let _ = pieces.send(Piece::Data(part)).await;
                }
            }
            Frame::End(end) => break end,
        }
    };
    frames.finish().await.map_err(AnswerFault::Instance)?;
    log.count_cut(end.log_lines_dropped, end.log_bytes_dropped);
    conclude(head, body, size, end)
}

/// Writes the lines of a run that goes on. Cut off, it has written all of them or kept them.
async fn write(log: &mut Log, execution: &Execution, records: &Records) {
    if let Err(error) = records.printed(execution, || log.take_unwritten()).await {
        tracing::warn!(%error, "log lines are lost");
    }
}

fn conclude(head: Option<Head>, body: Vec<u8>, size: usize, end: End) -> Result<Answer, AnswerFault> {
    let usage = Usage {
        peak_memory_bytes: end.peak_memory_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
        cpu_ms: end.cpu_us.map(|cpu_us| Duration::from_micros(cpu_us).as_secs_f64() * 1_000.0),
    };
    if let Outcome::Failed { error } = end.outcome {
        let error = ExecutionError {
            kind: beginning(error.kind, MAX_KIND),
            message: beginning(error.message, MAX_MESSAGE),
            trace: error.trace.map(|trace| beginning(trace, MAX_TRACE)),
        };
        return Err(AnswerFault::Handler { error, usage, is_reusable: !end.worker_exited });
    }
    let head = head.ok_or_else(|| unusable("the answer has no status".to_owned()))?;
    let status_code = checked_status(&head)?;
    checked_headers(&head)?;
    Ok(Answer { status_code, headers: join_headers(head.headers), body, size, usage })
}

fn checked_status(head: &Head) -> Result<u16, AnswerFault> {
    if STATUSES.contains(&head.status_code) {
        Ok(head.status_code)
    } else {
        Err(unusable(format!("{} is no status of an answer", head.status_code)))
    }
}

fn checked_headers(head: &Head) -> Result<Vec<(HeaderName, HeaderValue)>, AnswerFault> {
    let checked = head.headers.iter().map(|(name, value)| {
        let read = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        read.ok_or_else(|| unusable(format!("the answer's header {name:?} is no HTTP header")))
    });
    checked.collect()
}

fn join_headers(sent: Vec<(String, String)>) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in sent {
        headers
            .entry(name.to_ascii_lowercase())
            .and_modify(|joined| {
                joined.push_str(", ");
                joined.push_str(&value);
            })
            .or_insert(value);
    }
    headers
}

impl Answer {
    /// Returns the body as JSON carries it: as it is where it is JSON, else as text, else as base64 of its bytes.
    pub(crate) fn result(&mut self) -> Value {
        let body = std::mem::take(&mut self.body);
        let content_type = self.headers.get("content-type").map(String::as_str).unwrap_or_default();
        if body.is_empty() {
            return Value::Null;
        }
        if is_json(content_type)
            && let Ok(value) = serde_json::from_slice(&body)
        {
            return value;
        }
        Value::String(String::from_utf8(body).unwrap_or_else(|fault| {
            let (whole, is_cut) =
                (fault.utf8_error().valid_up_to(), fault.utf8_error().error_len().is_none());
            match str::from_utf8(&fault.as_bytes()[..whole]) {
                // What is kept of a longer text may end within a character.
                Ok(text) if is_cut && fault.as_bytes().len() < self.size => text.to_owned(),
                _ => STANDARD.encode(fault.as_bytes()),
            }
        }))
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

fn unusable(message: String) -> AnswerFault {
    AnswerFault::Unusable(ExecutionError { kind: "invalid_answer".to_owned(), message, trace: None })
}

fn beginning(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipway_bridge::protocol::Fault;

    use super::*;

    fn end(outcome: Outcome) -> End {
        End {
            outcome,
            log_bytes_dropped: 0,
            log_lines_dropped: 0,
            peak_memory_bytes: Some(u64::MAX),
            cpu_us: Some(1_500),
            worker_exited: true,
        }
    }

    fn head(status_code: u16, headers: &[(&str, &str)]) -> Head {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Head { status_code, headers }
    }

    fn result(content_type: &str, body: &[u8]) -> Value {
        let head = head(200, &[("Content-Type", content_type)]);
        conclude(Some(head), body.to_vec(), body.len(), end(Outcome::Succeeded)).unwrap().result()
    }

    #[test]
    fn a_body_is_json_where_it_is_json_else_text_else_base64() {
        assert_eq!(result("application/json; charset=utf-8", b"{\"a\":1}"), json!({ "a": 1 }));
        assert_eq!(result("application/json", b"{broken"), json!("{broken"));
        assert_eq!(result("text/plain", b"{\"a\":1}"), json!("{\"a\":1}"));
        assert_eq!(result("image/png", b"\xff\x00"), json!("/wA="));
        assert_eq!(result("application/json", b""), Value::Null);
    }

    #[test]
    fn repeated_headers_are_joined() {
        let head = head(204, &[("Vary", "a"), ("vary", "b")]);
        let answer = conclude(Some(head), Vec::new(), 0, end(Outcome::Succeeded)).unwrap();
        assert_eq!(answer.headers, BTreeMap::from([("vary".to_owned(), "a, b".to_owned())]));
    }

    #[test]
    fn an_answer_that_cannot_be_given_on_is_the_functions_failure() {
        let heads = [
            head(99, &[]),
            head(101, &[]),
            head(600, &[]),
            head(999, &[]),
            head(200, &[("a b", "c")]),
            head(200, &[("a", "b\n")]),
        ];
        for head in heads.into_iter().map(Some).chain([None]) {
            let fault = conclude(head, Vec::new(), 0, end(Outcome::Succeeded)).unwrap_err();
            assert!(matches!(fault, AnswerFault::Unusable(error) if error.kind == "invalid_answer"));
        }
    }

    #[test]
    fn a_failure_keeps_the_handlers_words_within_bounds() {
        let error = Fault { kind: "k".repeat(1_000), message: "ä".repeat(MAX_MESSAGE), trace: None };
        let Err(AnswerFault::Handler { error, is_reusable, usage }) =
            conclude(None, Vec::new(), 0, end(Outcome::Failed { error }))
        else {
            panic!("a failure is no answer");
        };
        assert_eq!((error.kind.len(), error.message.len()), (MAX_KIND, MAX_MESSAGE));
        assert!(!is_reusable);
        assert_eq!(usage, Usage { peak_memory_bytes: None, cpu_ms: Some(1.5) });
    }
}
