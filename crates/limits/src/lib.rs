#![doc = include_str!("../README.md")]

mod limiter;
mod memory;
mod shared;
mod window;

pub use limiter::{Limiter, Verdict};
pub use window::Quota;
