#![doc = include_str!("../README.md")]

mod keys;

pub use keys::{MAX_PLAIN_BYTES, OVERHEAD_BYTES, OpenError, SealError, SealingKeys};
