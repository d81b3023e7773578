#![doc = include_str!("../README.md")]

mod listener;
mod nudges;
mod pause;
mod url;

pub use listener::Listener;
pub use nudges::Nudges;
pub use url::RedisUrl;
