//! The gateway's endpoints, one a file.

mod body;
mod browsers;
mod docs;
mod health;
mod hosts;
mod origins;
mod proxy;

pub(crate) use docs::{docs, docs_file, openapi};
pub(crate) use health::{Health, health};
pub(crate) use hosts::Hosts;
pub(crate) use proxy::{Behind, proxy};
