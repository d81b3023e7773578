//! What the command takes from its environment beside clap's `env` arguments: things that must not be arguments.

use std::ffi::OsString;

/// Returns a variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
