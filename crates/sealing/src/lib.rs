#![doc = include_str!("../README.md")]

mod address;
mod keys;

pub use address::AddressSeal;
pub use keys::{MAX_PLAIN_BYTES, OVERHEAD_BYTES, OpenError, SealError, SealingKeys};
