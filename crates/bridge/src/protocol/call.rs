//! What the runner sends: an instance's configuration, and calls.

use std::collections::BTreeMap;
use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// The largest body of `PUT /configure`, in bytes: 256 KiB of settings and secrets, whatever JSON makes of them.
pub const MAX_CONFIGURE_BYTES: usize = 2 * 1024 * 1024;
/// The largest head of a call, in bytes of JSON.
pub const MAX_HEAD_BYTES: usize = 256 * 1024;
/// The largest body of a call or of an answer, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// The most calls that an instance carries out at a time.
pub const MAX_CONCURRENCY: u32 = 100;

/// What an instance is told once, before its handler is loaded.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configure {
    /// The function's name.
    pub function_name: String,
    /// The version that this instance runs.
    pub function_version: i32,
    /// The function's settings and secrets: the handler's `context.env`, and its process's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The file that holds the handler, from the application's folder; the runtime's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// How many calls the runner will send at a time: 1 to [`MAX_CONCURRENCY`].
    #[serde(default = "one_call")]
    pub concurrency: u32,
    /// How many bytes of log text each call may leave; the rest is counted and cut.
    #[serde(default = "log_limit_bytes")]
    pub log_limit_bytes: u64,
}

fn one_call() -> u32 {
    1
}

fn log_limit_bytes() -> u64 {
    256 * 1024
}

/// Leaves out the environment, which holds secrets.
impl fmt::Debug for Configure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configure")
            .field("function_name", &self.function_name)
            .field("function_version", &self.function_version)
            .field("entry", &self.entry)
            .field("concurrency", &self.concurrency)
            .field("log_limit_bytes", &self.log_limit_bytes)
            .finish_non_exhaustive()
    }
}

/// The start of a call: everything but the request's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvokeHead {
    /// The run's id.
    pub execution_id: String,
    /// What is left until the runner ends the call, in milliseconds: no clock is shared with an instance.
    pub deadline_ms: u64,
    /// The trace that the call belongs to (W3C Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The request's method.
    pub method: String,
    /// The request's path.
    pub path: String,
    /// The query's parameters, decoded, in their order. A repeated one reaches the handler joined by commas.
    pub query: Vec<(String, String)>,
    /// The headers, in lower case. A repeated one reaches the handler joined by `, `.
    pub headers: Vec<(String, String)>,
}

/// Why a call's head was refused.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The head is larger than [`MAX_HEAD_BYTES`].
    #[error("the head of the call is {0} bytes of JSON, and at most {MAX_HEAD_BYTES} are taken")]
    TooLarge(usize),
    /// The head could not be written as JSON.
    #[error("the head of the call is not JSON")]
    Json(#[from] serde_json::Error),
}

impl InvokeHead {
    /// Returns what goes before the request's body in `POST /invoke`: the length of the JSON as a big-endian
    /// `u32`, and the JSON.
    pub fn encode(&self) -> Result<Bytes, HeadError> {
        let mut bytes = BytesMut::with_capacity(512);
        bytes.put_u32(0);
        serde_json::to_writer((&mut bytes).writer(), self)?;
        let length = bytes.len() - size_of::<u32>();
        match u32::try_from(length) {
            Ok(prefix) if length <= MAX_HEAD_BYTES => {
                bytes[..size_of::<u32>()].copy_from_slice(&prefix.to_be_bytes());
                Ok(bytes.freeze())
            }
            _ => Err(HeadError::TooLarge(length)),
        }
    }

    /// Takes the head's JSON from the front of `received`, once all of it is there. What is left is body.
    ///
    /// The JSON is not parsed: the bridge hands it to the worker as it is.
    pub fn split(received: &mut BytesMut) -> Result<Option<Bytes>, HeadError> {
        let Some((prefix, rest)) = received.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > MAX_HEAD_BYTES {
            return Err(HeadError::TooLarge(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        received.advance(prefix.len());
        Ok(Some(received.split_to(length).freeze()))
    }
}
