//! The entry point of every function instance, and the protocol that it speaks with the function runner.
//!
//! The library is the [`protocol`] alone, for both sides of the connection. The program is in `main.rs`.

pub mod protocol;
