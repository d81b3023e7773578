#![doc = include_str!("../README.md")]

mod counter;
mod limiter;
mod memory;
mod network;
mod shared;
mod told;
mod window;

pub use counter::{Counter, CounterNames, HiddenCounter};
pub use limiter::{Limiter, Verdict};
pub use network::network;
pub use told::policy;
pub use window::Quota;
