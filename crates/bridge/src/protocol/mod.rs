//! What the function runner and an instance's bridge say to each other.
//!
//! The runner listens on a Unix socket of that one instance; the bridge dials it and then *serves* HTTP/1.1 on
//! the connection, so the runner is the client. One connection carries one call at a time: for further calls at a time
//! the bridge dials again before it answers `PUT /configure`, so that there are as many connections as
//! [`Configure::concurrency`] says. They are alike, and end together.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `PUT /configure` | [`Configure`] as JSON | 204; once, before anything else |
//! | `GET /ready` | | 200 and frames: the handler is loaded at the first of these, and its outcome is kept |
//! | `POST /invoke` | [`InvokeHead::encode`], then the request's own body; `content-length` is required | 200 and frames |
//!
//! A request that is out of order or malformed is a 4xx whose body is one line of text. Everything that becomes
//! of the handler is a 200: its outcome is in the last frame.
//!
//! # Frames
//!
//! A frame is one byte of type, the payload's length as a big-endian `u32`, and the payload, at most
//! [`MAX_PAYLOAD_BYTES`]. A stream is any number of [`Frame::Log`], then at most one [`Frame::Head`] followed by
//! [`Frame::Data`] and more logs, and exactly one [`Frame::End`], which is the last. What the handler had printed
//! before it answered lies before the end; log lines are sent as they are printed, so a call that is killed
//! leaves the lines it had.
//!
//! # Trust
//!
//! The function shares a user with its bridge, so the runner takes what comes from an instance for the
//! function's own words: [`FrameDecoder`] bounds every frame and refuses a stream that is out of order. How many
//! frames there are, a head's status and header names, and that no connection is accepted once the handler may run are
//! the runner's to check. The runner also removes `authorization`, `cookie` and the platform's own headers from
//! [`InvokeHead::headers`]: neither bridge nor worker looks at them again.

mod call;
mod frame;

pub use call::{
    Configure, HeadError, InvokeHead, MAX_BODY_BYTES, MAX_CONCURRENCY, MAX_CONFIGURE_BYTES, MAX_HEAD_BYTES,
};
pub use frame::{
    End, Fault, Frame, FrameDecoder, FrameError, Head, LogLine, LogStream, MAX_PAYLOAD_BYTES, Outcome,
};

/// Where the bridge dials, inside an instance.
pub const SOCKET_PATH: &str = "/run/slipway/runner.sock";
/// Where a container that installs dependencies finds the runner's proxy, its only way to a package registry.
pub const PROXY_SOCKET_PATH: &str = "/run/slipway/proxy.sock";
/// Where such a container works: below its temporary files, for nothing else there can be written.
pub const INSTALL_DIRECTORY: &str = "/tmp/app";
/// Takes a [`Configure`].
pub const CONFIGURE_PATH: &str = "/configure";
/// Loads the handler and tells how that went.
pub const READY_PATH: &str = "/ready";
/// Calls the handler.
pub const INVOKE_PATH: &str = "/invoke";
