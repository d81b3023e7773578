#![doc = include_str!("../README.md")]

mod action;
mod event;
mod forwarder;
mod outbox;
mod schema;
mod store;

pub use action::Action;
pub use event::{Event, InvalidEvent, check};
pub use forwarder::{AuditConfig, Forwarder};
pub use outbox::{record, take};
