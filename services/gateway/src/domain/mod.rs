//! What is let through, as pure rules: no I/O, no framework.

pub(crate) mod cookies;
pub(crate) mod headers;
pub(crate) mod host;
pub(crate) mod origin;
pub(crate) mod path;
pub(crate) mod proxies;
pub(crate) mod query;
