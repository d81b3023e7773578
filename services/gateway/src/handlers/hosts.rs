//! The host name of functions, where they have one of their own.

use std::sync::Arc;

use actix_web::dev::RequestHead;
use actix_web::http::header;
use actix_web::http::uri::Authority;

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
    pub(crate) fn are_separate(&self) -> bool {
        self.0.is_some()
    }

    /// Tells whether a request is for functions' own host name.
    pub(crate) fn is_functions_own(&self, head: &RequestHead) -> bool {
        let Some(functions) = &self.0 else { return false };
        asked(head).is_some_and(|asked| host::name(asked).eq_ignore_ascii_case(functions))
    }
}

/// Returns the host that a request is for, with its port.
pub(super) fn asked(head: &RequestHead) -> Option<&str> {
    let stated = head.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    // RFC 9112, section 3.2.2: what the request line says counts.
    head.uri.authority().map(Authority::as_str).or(stated)
}
