//! What the bridge and the worker say to each other, on the socket that the worker inherits.
//!
//! A message is one byte of kind, then three big-endian `u32`: the number of the call, the length of the head and
//! the length of the body; then head and body.
//!
//! | kind | from | head | body |
//! |---|---|---|---|
//! | 1 configure | bridge | `Configure` as JSON | |
//! | 2 invoke | bridge | `InvokeHead` as JSON | the request's body |
//! | 3 ready | worker | | |
//! | 4 answer | worker | `Head` as JSON | the answer's body |
//! | 5 failure | worker | `Fault` as JSON | |
//! | 6 log | worker | text, its lines ended by newlines | |
//! | 7 last failure | worker | `Fault` as JSON: as failure, and the worker ends | |
//! | 8 stdout | worker | text as it was printed, where its call is known | |
//! | 9 stderr | worker | the same | |
//!
//! Configure is call 0 and comes first; it is answered by ready or failure, and each invoke by answer or failure
//! of the same number, in any order. Text whose call has no such number is the oldest call's. The function lives in the worker's process and may write here what it likes: it is
//! bounded, and refused where it is out of place.

use bytes::{Buf, Bytes, BytesMut};
use slipway_bridge::protocol::{Fault, Head, LogStream, MAX_BODY_BYTES, MAX_HEAD_BYTES};

const PRELUDE_BYTES: usize = 13;
const READY: u8 = 3;
const ANSWER: u8 = 4;
const FAILURE: u8 = 5;
const LOG: u8 = 6;
const LAST_FAILURE: u8 = 7;
const STDOUT: u8 = 8;
const STDERR: u8 = 9;

/// What a message to the worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Configure = 1,
    Invoke = 2,
}

/// Returns what goes before a message's head and body.
pub(crate) fn prelude(request: Request, call: u32, head: u32, body: u32) -> [u8; PRELUDE_BYTES] {
    let mut bytes = [0; PRELUDE_BYTES];
    bytes[0] = request as u8;
    bytes[1..5].copy_from_slice(&call.to_be_bytes());
    bytes[5..9].copy_from_slice(&head.to_be_bytes());
    bytes[9..].copy_from_slice(&body.to_be_bytes());
    bytes
}

/// What the worker said; an answer's body follows it in parts.
#[derive(Debug)]
pub(crate) enum Message {
    Ready { call: u32 },
    Answer { call: u32, head: Head, body_bytes: usize },
    Body(Bytes),
    Failure { call: u32, fault: Fault, last: bool },
    Output { call: u32, stream: LogStream, text: Bytes },
}

/// The worker broke the rules: why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misbehaved(pub(crate) &'static str);

/// Reads the worker's messages.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    received: BytesMut,
    body_left: usize,
}

impl Decoder {
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.received.extend_from_slice(chunk);
    }

    /// Returns the next message or part of a body, or `None` when the rest of it was not received yet.
    pub(crate) fn next_message(&mut self) -> Result<Option<Message>, Misbehaved> {
        if self.body_left > 0 {
            let part = self.received.split_to(self.body_left.min(self.received.len())).freeze();
            self.body_left -= part.len();
            return Ok((!part.is_empty()).then_some(Message::Body(part)));
        }
        let Some((prelude, rest)) = self.received.split_first_chunk::<PRELUDE_BYTES>() else {
            return Ok(None);
        };
        let [kind, numbers @ ..] = *prelude;
        let number =
            |at: usize| u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
        let (call, head, body) = (number(0), number(4) as usize, number(8) as usize);
        if head > MAX_HEAD_BYTES || body > if kind == ANSWER { MAX_BODY_BYTES } else { 0 } {
            return Err(Misbehaved("the worker sent a message that is too large"));
        }
        if rest.len() < head {
            return Ok(None);
        }
        self.received.advance(PRELUDE_BYTES);
        let head = self.received.split_to(head).freeze();
        self.body_left = body;
        message(kind, call, head, body).map(Some)
    }
}

fn message(kind: u8, call: u32, head: Bytes, body_bytes: usize) -> Result<Message, Misbehaved> {
    let malformed = |_| Misbehaved("the worker sent a malformed message");
    Ok(match kind {
        READY => Message::Ready { call },
        ANSWER => {
            let head: Head = serde_json::from_slice(&head).map_err(malformed)?;
            Message::Answer { call, head, body_bytes }
        }
        FAILURE | LAST_FAILURE => {
            let fault = serde_json::from_slice(&head).map_err(malformed)?;
            Message::Failure { call, fault, last: kind == LAST_FAILURE }
        }
        LOG => Message::Output { call, stream: LogStream::Log, text: head },
        STDOUT => Message::Output { call, stream: LogStream::Stdout, text: head },
        STDERR => Message::Output { call, stream: LogStream::Stderr, text: head },
        _ => return Err(Misbehaved("the worker sent a message of an unknown kind")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(chunks: &[&[u8]]) -> Result<Vec<Message>, Misbehaved> {
        let mut decoder = Decoder::default();
        let mut messages = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            while let Some(message) = decoder.next_message()? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    fn sent(kind: u8, call: u32, head: &[u8], body: &[u8]) -> Vec<u8> {
        let lengths = [call, u32::try_from(head.len()).unwrap(), u32::try_from(body.len()).unwrap()];
        [&[kind], lengths.map(u32::to_be_bytes).as_flattened(), head, body].concat()
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes.chunks(5).collect::<Vec<_>>());
        }

        #[test]
        fn messages_read_the_same_however_they_are_cut(cut in 1..80_usize) {
            let bytes = [sent(LOG, 0, b"text", b""), sent(ANSWER, 7, br#"{"status_code":200}"#, b"body"), sent(READY, 0, b"", b"")].concat();
            let messages = decode(&bytes.chunks(cut).collect::<Vec<_>>()).unwrap();
            let body: Vec<u8> = messages.iter().filter_map(|message| match message {
                Message::Body(part) => Some(&part[..]),
                _ => None,
            }).flatten().copied().collect();
            prop_assert_eq!(body, b"body");
            let [first, second, .., last] = &messages[..] else { panic!("{messages:?}") };
            assert!(matches!(first, Message::Output { call: 0, stream: LogStream::Log, text } if text == "text"));
            assert!(matches!(second, Message::Answer { call: 7, body_bytes: 4, .. }));
            assert!(matches!(last, Message::Ready { call: 0 }));
        }
    }

    #[test]
    fn a_body_is_refused_where_none_belongs() {
        assert!(decode(&[&sent(LOG, 0, b"text", b"body")]).is_err());
        assert!(decode(&[&[ANSWER, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]]).is_err());
    }
}
