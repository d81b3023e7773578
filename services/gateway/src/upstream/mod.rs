//! The way to the services behind the gateway: HTTP/1.1 over kept connections.

mod client;
mod pool;
mod replicas;

pub(crate) use client::{Bounds, Client, UpstreamError, empty};
pub(crate) use pool::{Kept, Pool};
pub(crate) use replicas::{NoReplica, Replicas, Turn};
