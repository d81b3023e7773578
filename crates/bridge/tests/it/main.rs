//! The protocol, and the real program with the real language workers behind a real socket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

mod answers;
mod faults;
mod frames;
mod instance;
mod lambda;
mod loading;
mod output;
mod together;
