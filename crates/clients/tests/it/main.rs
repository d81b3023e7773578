//! The clients against a server that answers as it is told, over real sockets.
#![cfg(test)]

mod http;
mod platform;
mod server;
