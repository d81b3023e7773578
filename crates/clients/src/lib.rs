//! Typed HTTP clients of our services.
//!
//! All of them go through [`Http`]: deadlines, bounded answers, the trace context and request id of the current span,
//! retries of what is safe to send twice, and problem answers as a [`ClientError`].

pub mod auth;
mod error;
mod http;
pub mod platform;

pub use error::{ClientError, InvalidUrl};
pub use http::Http;
