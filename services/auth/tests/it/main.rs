//! Auth over HTTP, on real PostgreSQL.

mod authz;
mod bad_input;
mod harness;
mod login;
mod logout;
mod migrations;
mod outage;
mod refresh;
mod register;
mod superuser;
