//! Tokens and keys, on real keys and real files.
#![cfg(test)]

mod access;
mod identity;
mod key_files;
mod platform;
