//! Everything here runs on a real Podman, and removes what it made even when it panics.

mod build;
mod fixture;
mod lifecycle;
mod limits;
mod service;
