#![doc = include_str!("../README.md")]

mod app;
mod commands;
mod config;
mod domain;
mod error;
mod handlers;
mod routes;
mod schema;
mod service;
mod store;

pub use app::{Auth, MIGRATIONS};
pub use config::Config;
