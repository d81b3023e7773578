//! The host name of functions, where they have one of their own.

use std::sync::Arc;

use super::request::Request;
use crate::domain::host;

/// Tells requests for functions' own host name from those for the platform's.
#[derive(Clone)]
pub(crate) struct Hosts(Option<Arc<str>>);

impl Hosts {
    /// Takes the name of `FUNCTIONS_HOST`, or none where functions and the platform share one.
    pub(crate) fn new(functions: Option<&str>) -> Self {
        Self(functions.map(Arc::from))
    }

    /// Tells whether functions have a host name of their own.
    pub(super) fn are_separate(&self) -> bool {
        self.0.is_some()
    }

    /// Tells whether a request is for functions' own host name.
    pub(super) fn is_functions_own(&self, request: &Request<'_>) -> bool {
        let Some(functions) = &self.0 else { return false };
        request.host().is_some_and(|asked| host::name(asked).eq_ignore_ascii_case(functions))
    }
}
