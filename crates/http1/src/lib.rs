#![doc = include_str!("../README.md")]

mod answer;
mod chunks;
mod fields;
mod head;
mod request;

pub use answer::{AnswerBody, AnswerHead};
pub use chunks::Chunks;
pub use fields::{HeadFault, MAX_HEAD};
pub use head::{Body, Head};
pub use request::RequestHead;

/// Says that bytes are no HTTP/1.1 (RFC 9112).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault;
