#![doc = include_str!("../README.md")]

mod archive;
pub mod domain;
mod project;
pub mod records;
mod schema;
pub mod spool;
mod store;
