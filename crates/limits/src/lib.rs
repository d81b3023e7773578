#![doc = include_str!("../README.md")]

mod limiter;
mod memory;
mod network;
mod shared;
mod told;
mod window;

pub use limiter::{Limiter, Verdict};
pub use network::network;
pub use window::Quota;
