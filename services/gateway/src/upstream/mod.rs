//! The way to the services behind the gateway: HTTP/1.1 over kept connections, streaming both ways.

mod body;
mod client;
mod replicas;

pub(crate) use body::{BodyFault, Patience, RequestBody, answer_stream, empty, streamed, whole};
pub(crate) use client::{Client, UpstreamError};
pub(crate) use replicas::{Replicas, Turn};
