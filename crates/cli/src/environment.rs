//! What the command takes from its environment beside clap's `env` arguments: things that must not be arguments.

use std::ffi::OsString;

use crate::failure::Failure;

/// Returns a variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns a variable that is set and not empty, as text.
pub(crate) fn text(name: &str) -> Result<Option<String>, Failure> {
    let text = variable(name).map(OsString::into_string).transpose();
    text.map_err(|_| Failure::usage(format!("{name} is not UTF-8")))
}
