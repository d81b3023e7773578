//! The entry point of every function instance, and the protocol that it speaks with the function runner.
//!
//! The library is the [`protocol`] alone, for both sides of the connection. The programs are the
//! bridge in `main.rs`, and the worker of the binary runtime in `lambda/`; the other workers are in their own languages.

pub mod protocol;
