#![doc = include_str!("../README.md")]

mod archive;
pub mod domain;
