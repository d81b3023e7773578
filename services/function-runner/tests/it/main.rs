//! Function-runner over HTTP, on real PostgreSQL and real Podman.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod archives;
mod async_runs;
mod audit;
mod authz;
mod bad_input;
mod binary;
mod build_log;
mod cancel;
mod collection;
mod concurrency;
mod dart;
mod delete;
mod deploy;
mod deployed;
mod egress;
mod faults;
mod followed;
mod harness;
mod installation;
mod instances;
mod invoke;
mod keys;
mod migrations;
mod names;
mod records;
mod recovery;
mod registry;
mod rollback;
mod secrets;
mod standard_libraries;
mod trigger;
mod warm;
