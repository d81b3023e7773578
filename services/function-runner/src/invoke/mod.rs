//! One call: what the handler is sent, what comes back, and what it printed.

mod answer;
mod call;
mod log;

pub(crate) use answer::{Answer, AnswerFault, Piece, Relay, receive};
pub(crate) use call::{Call, HeadTooLong};
pub(crate) use log::Log;
