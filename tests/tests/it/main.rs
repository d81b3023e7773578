//! The platform end to end: its programs, real PostgreSQL, real Podman, over HTTP and by the command line.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod api_keys;
mod archives;
mod bad_input;
mod binary;
mod browser;
mod browser_sessions;
mod chaos;
mod confinement;
mod crash;
mod dart;
mod deleted_account;
mod deploy;
mod egress;
mod examples;
mod failures;
mod isolation;
mod key_rotation;
mod keys;
mod letters;
mod limits;
mod main_job;
mod matrix;
mod nginx;
mod outage;
mod records;
mod revocation;
mod runs;
mod support;
