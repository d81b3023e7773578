//! Everything here runs on a real Podman, and removes what it made even when it panics.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has said what is wrong")]

mod build;
mod egress;
mod fixture;
mod lifecycle;
mod limits;
mod service;
