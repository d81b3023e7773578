#![doc = include_str!("../README.md")]

mod archive;
pub mod domain;
pub mod spool;
mod project;
