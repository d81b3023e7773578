//! The gateway over HTTP, before real services of the tests' own: what they were asked is what the gateway let through.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod api_keys;
mod auth_news;
mod bodies;
mod browsers;
mod cases;
mod cookies;
mod credentials;
mod echo;
mod failures;
mod functions;
mod harness;
mod identity;
mod limits;
mod messages;
mod own_pages;
mod paths;
mod raw;
mod routes;
mod smuggling;
mod sockets;
mod spoofing;
mod tap;
mod tls;
mod token_attacks;
mod token_memory;
