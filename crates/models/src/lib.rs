//! The wire types that two or more of our programs share: what a service answers and a client reads.
//!
//! Requests refuse unknown fields, so that a misspelt one is an error and not a silence. Answers do not: a client
//! must outlive new fields.

pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod functions;
pub mod groups;
pub mod passwords;
pub mod people;
pub mod permissions;
pub mod problem;
pub mod profile;
