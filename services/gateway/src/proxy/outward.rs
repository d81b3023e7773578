//! What a client sees of an answer.

use http::StatusCode;
use slipway_http1::{AnswerBody, AnswerHead};
use slipway_web::{Problem, RequestIdText};

use super::said::{Said, write_field, write_number_field};
use crate::domain::headers::{Listed, passes_from_functions, passes_from_services, passes_outward};
use crate::pages::Page;

/// Marks an answer as what a user's function came to, be it a failure.
pub(super) const FUNCTION_OUTCOME: &str = "x-slipway-function-outcome";

/// Whether the connection ends with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// It does.
    Closes,
    /// It does not.
    Keeps,
    /// It does not, and a client of HTTP/1.0 has to be told.
    KeepsOld,
}

impl Closing {
    pub(super) fn of(ends: bool, is_old: bool) -> Self {
        match (ends, is_old) {
            (true, _) => Self::Closes,
            (false, false) => Self::Keeps,
            (false, true) => Self::KeepsOld,
        }
    }
}

/// How a client sees where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length, or because there is none.
    Length,
    /// By chunks.
    Chunks,
    /// By the end of the connection: a client of HTTP/1.0 knows no chunks.
    End,
}

/// Whose answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A service of the platform's, or of the operator's.
    Service,
    /// A user's function: hostile content.
    Function {
        /// Whether a browser takes its page for one of the platform's.
        is_beside_platform: bool,
    },
}

/// Writes the head of a service's answer.
pub(super) fn write_answer(
    to: &mut Vec<u8>,
    (head, bytes): (&AnswerHead, &[u8]),
    (body, framing): (AnswerBody, Framing),
    source: Source,
    (id, said, closing): (&RequestIdText, &Said, Closing),
) {
    write_status(to, head.status());
    let listed = Listed::in_connection(head.values(bytes, "connection"));
    for (name, value) in head.fields(bytes) {
        let is_let_through = match source {
            Source::Function { .. } => passes_from_functions(name),
            Source::Service => passes_from_services(name),
        };
        if is_let_through && passes_outward(name, &listed) {
            write_field(to, name, value);
        }
    }
    if source == (Source::Function { is_beside_platform: true }) {
        // Beside a policy of the function's own: of several a browser keeps to each.
        write_field(to, "content-security-policy", b"sandbox");
    }
    // An answer to HEAD states the length of a body that it does not have.
    let length = match body {
        AnswerBody::Sized(length) => Some(length),
        AnswerBody::None if head.status() >= 200 && head.status() != 204 => head.content_length(),
        _ => None,
    };
    if let Some(length) = length {
        write_length(to, length);
    }
    if framing == Framing::Chunks {
        write_field(to, "transfer-encoding", b"chunked");
    }
    write_end(to, id, said, closing);
}

/// Writes that a service switched to the protocol that the client asked for: WebSocket.
pub(super) fn write_switch(
    to: &mut Vec<u8>,
    (head, bytes): (&AnswerHead, &[u8]),
    (id, said): (&RequestIdText, &Said),
) {
    write_status(to, head.status());
    let listed = Listed::in_connection(head.values(bytes, "connection"));
    for (name, value) in head.fields(bytes) {
        if passes_from_services(name) && passes_outward(name, &listed) {
            write_field(to, name, value);
        }
    }
    write_field(to, "connection", b"upgrade");
    write_field(to, "upgrade", b"websocket");
    write_end(to, id, said, Closing::Keeps);
}

/// Writes a page of the gateway's own.
pub(super) fn write_page(
    to: &mut Vec<u8>,
    page: &Page,
    id: &RequestIdText,
    said: &Said,
    closing: Closing,
    is_head: bool,
) {
    write_status(to, page.status);
    for (name, value) in &page.headers {
        write_field(to, name, value.as_bytes());
    }
    if page.status != 204 {
        write_length(to, page.body.len() as u64);
    }
    write_end(to, id, said, closing);
    if !is_head {
        to.extend_from_slice(page.body.as_bytes());
    }
}

/// Writes a problem.
pub(super) fn write_problem(
    to: &mut Vec<u8>,
    problem: &Problem,
    id: &RequestIdText,
    said: &Said,
    closing: Closing,
    is_head: bool,
) {
    let body = serde_json::to_vec(&problem.body(id.as_str())).unwrap_or_default();
    write_status(to, problem.status().as_u16());
    for (name, value) in problem.headers() {
        write_field(to, name, value);
    }
    write_field(to, "content-type", b"application/problem+json");
    write_length(to, body.len() as u64);
    write_end(to, id, said, closing);
    if !is_head {
        to.extend_from_slice(&body);
    }
}

fn write_status(to: &mut Vec<u8>, status: u16) {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    to.extend_from_slice(b"HTTP/1.1 ");
    to.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    to.push(b' ');
    to.extend_from_slice(reason.unwrap_or_default().as_bytes());
    to.extend_from_slice(b"\r\n");
}

fn write_length(to: &mut Vec<u8>, length: u64) {
    write_number_field(to, "content-length", length);
}

fn write_end(to: &mut Vec<u8>, id: &RequestIdText, said: &Said, closing: Closing) {
    to.extend_from_slice(said.as_bytes());
    write_field(to, "x-request-id", id.as_str().as_bytes());
    match closing {
        Closing::Closes => write_field(to, "connection", b"close"),
        Closing::KeepsOld => write_field(to, "connection", b"keep-alive"),
        Closing::Keeps => {}
    }
    to.extend_from_slice(b"\r\n");
}
