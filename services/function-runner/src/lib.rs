#![doc = include_str!("../README.md")]

mod app;
mod archive;
mod build;
mod config;
mod dart;
pub mod domain;
mod error;
mod handlers;
pub mod instances;
mod invoke;
mod program;
mod project;
pub mod records;
mod routes;
mod runner_id;
mod schema;
mod service;
pub mod spool;
mod store;

pub use app::{FunctionRunner, MIGRATIONS};
pub use config::Config;
