//! What is let through, as pure rules: no I/O, no framework.

pub(crate) mod headers;
pub(crate) mod path;
