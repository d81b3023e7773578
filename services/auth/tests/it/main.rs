//! Auth over HTTP, on real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod accounts;
mod api_keys;
mod audit;
mod authz;
mod bad_input;
mod blind;
mod cookies;
mod flood;
mod forwarding;
mod groups;
mod harness;
mod letters;
mod limits;
mod login;
mod logout;
mod migrations;
mod outage;
mod password_change;
mod password_grant;
mod people;
mod profile;
mod program;
mod refresh;
mod register;
mod sessions;
mod superuser;
mod tampering;
mod team;
mod tokens;
mod trail;
