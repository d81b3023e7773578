//! The stable codes of errors, which clients may branch on.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A stable, lower-case name of an error, such as `invalid_credentials`.
///
/// Codes that every service can answer are constants here; each service adds its own with [`ErrorCode::new`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(Cow<'static, str>);

impl ErrorCode {
    /// The body is larger than the route takes.
    pub const BODY_TOO_LARGE: Self = Self::new("body_too_large");
    /// The caller may not do this.
    pub const FORBIDDEN: Self = Self::new("forbidden");
    /// The key was used before with another body.
    pub const IDEMPOTENCY_KEY_REUSED: Self = Self::new("idempotency_key_reused");
    /// A request with the same idempotency key is still being carried out.
    pub const IDEMPOTENCY_KEY_IN_USE: Self = Self::new("idempotency_key_in_use");
    /// A fault of the server's own.
    pub const INTERNAL: Self = Self::new("internal");
    /// The request cannot be read: its JSON, its path or its query.
    pub const INVALID_REQUEST: Self = Self::new("invalid_request");
    /// The path exists, the method does not.
    pub const METHOD_NOT_ALLOWED: Self = Self::new("method_not_allowed");
    /// There is nothing here, or nothing that the caller may see.
    pub const NOT_FOUND: Self = Self::new("not_found");
    /// The request names no valid identity.
    pub const UNAUTHENTICATED: Self = Self::new("unauthenticated");
    /// Something that the service needs is not there at the moment.
    pub const UNAVAILABLE: Self = Self::new("unavailable");
    /// The body's type is none that the route takes.
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self::new("unsupported_media_type");
    /// The request could be read, but its values break a rule; `errors` names them.
    pub const VALIDATION_FAILED: Self = Self::new("validation_failed");

    /// Names an error. By custom: lower case, words joined by `_`.
    pub const fn new(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }

    /// Returns the code as it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
