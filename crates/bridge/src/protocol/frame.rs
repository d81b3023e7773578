//! What an instance streams back: frames, how they are written, and how they are read.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// The largest payload of one frame, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

const PRELUDE_BYTES: usize = 5;
const LOG: u8 = 1;
const HEAD: u8 = 2;
const DATA: u8 = 3;
const END: u8 = 4;

/// Where a line of the log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The context's logger.
    Log,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When the bridge read it, in microseconds since 1970-01-01T00:00:00Z.
    pub time_us: i64,
    /// Where it came from.
    pub stream: LogStream,
    /// The line, without its end.
    pub text: String,
}

/// The start of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The handler's status, 200 when it named none.
    pub status_code: u16,
    /// The handler's headers, and a `content-type` where it named none but sent a body.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

/// Why a call failed, or why the handler could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The exception's type, or one of `handler_missing`, `handler_exited`, `invalid_answer`, `worker_exited`,
    /// `worker_misbehaved`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The handler's own message.
    pub message: String,
    /// Where it happened, in the handler's own terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// The handler answered.
    Succeeded,
    /// The handler failed.
    Failed {
        /// Why.
        error: Fault,
    },
}

/// The end of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How the call ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How much log text was cut, in bytes.
    #[serde(default)]
    pub log_bytes_dropped: u64,
    /// How many log lines were cut.
    #[serde(default)]
    pub log_lines_dropped: u64,
    /// The instance's peak memory so far, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// The CPU time, user and system, that the instance used from the call's beginning to its end, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us: Option<u64>,
    /// True when the worker is gone: the bridge exits, and the instance takes no more calls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub worker_exited: bool,
}

/// One frame of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A line of the log.
    Log(LogLine),
    /// The start of the answer.
    Head(Head),
    /// A part of the answer's body.
    Data(Bytes),
    /// The end.
    End(End),
}

/// Why a stream was refused.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A payload is larger than [`MAX_PAYLOAD_BYTES`].
    #[error("a frame of {0} bytes, and at most {MAX_PAYLOAD_BYTES} are taken")]
    TooLarge(usize),
    /// The type is none that is known.
    #[error("a frame of the unknown type {0}")]
    UnknownType(u8),
    /// The payload is not the JSON that its type asks for.
    #[error("a frame with a malformed payload")]
    Malformed(#[from] serde_json::Error),
    /// The frame may not come at this place.
    #[error("a {0} frame out of order")]
    OutOfOrder(&'static str),
    /// The stream stopped before its end frame.
    #[error("the stream stopped before its end")]
    Truncated,
}

impl Frame {
    /// Appends the frame to `out`; on an error `out` is as it was.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FrameError> {
        let start = out.len();
        let written = match self {
            Self::Log(line) => encode_json(LOG, line, out),
            Self::Head(head) => encode_json(HEAD, head, out),
            Self::Data(data) => encode_with(DATA, out, |out| {
                out.extend_from_slice(data);
                Ok(())
            }),
            Self::End(end) => encode_json(END, end, out),
        };
        if written.is_err() {
            out.truncate(start);
        }
        written
    }
}

fn encode_json<T: Serialize>(kind: u8, payload: &T, out: &mut BytesMut) -> Result<(), FrameError> {
    encode_with(kind, out, |out| Ok(serde_json::to_writer(out.writer(), payload)?))
}

fn encode_with(
    kind: u8,
    out: &mut BytesMut,
    payload: impl FnOnce(&mut BytesMut) -> Result<(), FrameError>,
) -> Result<(), FrameError> {
    out.put_u8(kind);
    out.put_u32(0);
    let start = out.len();
    payload(out)?;
    let length = out.len() - start;
    match u32::try_from(length) {
        Ok(prefix) if length <= MAX_PAYLOAD_BYTES => {
            out[start - size_of::<u32>()..start].copy_from_slice(&prefix.to_be_bytes());
            Ok(())
        }
        _ => Err(FrameError::TooLarge(length)),
    }
}

/// What may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    BeforeHead,
    Body,
    Ended,
}

/// Reads a stream of frames from chunks of any size.
///
/// It holds at most one unfinished frame beside the chunk that was pushed last. After an error the stream is of
/// no more use.
#[derive(Debug)]
pub struct FrameDecoder {
    received: BytesMut,
    stage: Stage,
}

impl FrameDecoder {
    /// Makes a decoder for one stream.
    pub fn new() -> Self {
        Self { received: BytesMut::new(), stage: Stage::BeforeHead }
    }

    /// Appends what was received; [`Self::next_frame`] is then called until it returns `None`.
    pub fn push(&mut self, chunk: &[u8]) {
        self.received.extend_from_slice(chunk);
    }

    /// Returns the next frame, or `None` when the rest of it was not received yet.
    ///
    /// Texts hold no NUL, which PostgreSQL cannot store: each is replaced by U+FFFD.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((prelude, rest)) = self.received.split_first_chunk::<PRELUDE_BYTES>() else {
            return Ok(None);
        };
        let [kind, prefix @ ..] = *prelude;
        let length = u32::from_be_bytes(prefix) as usize;
        self.admit(kind)?;
        if length > MAX_PAYLOAD_BYTES {
            return Err(FrameError::TooLarge(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.received.advance(PRELUDE_BYTES);
        let payload = self.received.split_to(length).freeze();
        self.stage = match kind {
            HEAD => Stage::Body,
            END => Stage::Ended,
            _ => self.stage,
        };
        parse(kind, payload).map(Some)
    }

    /// Returns true once the end frame was returned.
    pub fn is_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Checks, where the connection gives no more, that the stream was whole.
    pub fn finish(&self) -> Result<(), FrameError> {
        match self.stage {
            Stage::Ended if self.received.is_empty() => Ok(()),
            Stage::Ended => Err(FrameError::OutOfOrder("further")),
            Stage::BeforeHead | Stage::Body => Err(FrameError::Truncated),
        }
    }

    fn admit(&self, kind: u8) -> Result<(), FrameError> {
        match (kind, self.stage) {
            (LOG | END, Stage::BeforeHead | Stage::Body)
            | (HEAD, Stage::BeforeHead)
            | (DATA, Stage::Body) => Ok(()),
            (LOG, _) => Err(FrameError::OutOfOrder("log")),
            (HEAD, _) => Err(FrameError::OutOfOrder("head")),
            (DATA, _) => Err(FrameError::OutOfOrder("data")),
            (END, _) => Err(FrameError::OutOfOrder("end")),
            _ => Err(FrameError::UnknownType(kind)),
        }
    }
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new()
    }
}

fn parse(kind: u8, payload: Bytes) -> Result<Frame, FrameError> {
    Ok(match kind {
        LOG => {
            let mut line: LogLine = serde_json::from_slice(&payload)?;
            replace_nul(&mut line.text);
            Frame::Log(line)
        }
        HEAD => Frame::Head(serde_json::from_slice(&payload)?),
        DATA => Frame::Data(payload),
        END => {
            let mut end: End = serde_json::from_slice(&payload)?;
            if let Outcome::Failed { error } = &mut end.outcome {
                replace_nul(&mut error.kind);
                replace_nul(&mut error.message);
                error.trace.as_mut().map(replace_nul);
            }
            Frame::End(end)
        }
        _ => return Err(FrameError::UnknownType(kind)),
    })
}

fn replace_nul(text: &mut String) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
}
