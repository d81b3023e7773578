#![doc = include_str!("../README.md")]

mod access;
mod api_keys;
mod app;
mod auth_link;
mod config;
mod domain;
mod handlers;
mod in_flight;
mod limits;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod routes;
mod upstream;

pub use app::Gateway;
pub use config::{Config, LimitsConfig};
