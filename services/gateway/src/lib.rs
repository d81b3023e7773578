#![doc = include_str!("../README.md")]

mod access;
mod api_keys;
mod app;
mod auth_link;
mod config;
mod domain;
mod in_flight;
mod limits;
mod pages;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod proxy;
mod routes;
mod rules;
mod series;
mod server;
mod upstream;
mod watch;

pub use app::Gateway;
pub use config::{Config, LimitsConfig};
pub use server::Tls;
