#![doc = include_str!("../README.md")]

mod commands;
mod listener;
mod nudges;
mod pause;
mod url;

pub use commands::{Commands, RedisFault};
pub use listener::Listener;
pub use nudges::Nudges;
pub use url::RedisUrl;
