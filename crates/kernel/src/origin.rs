//! Where a request came from.

use std::fmt;

/// Where a request came from, as the audit trail keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client's address, where it is known; sealed, as it is personal.
    pub address: Option<SealedAddress>,
    /// The id that the request has in logs and answers.
    pub request_id: String,
}

/// An address that only the audit log's readers learn: sealed, and as text.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedAddress(String);

impl SealedAddress {
    /// Takes what the sealing came to.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SealedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedAddress(..)")
    }
}
