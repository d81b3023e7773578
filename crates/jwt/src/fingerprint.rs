//! How a cache knows a token without holding it.

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;

use crate::TokenError;
use crate::jws::MAX_TOKEN_BYTES;

/// What is known of tokens that were verified a moment ago, within a bound.
///
/// It remembers that a signature was right and nothing else: times and revocation are checked at each hit.
pub(crate) type VerifiedTokens<T> = Cache<Fingerprint, T>;

/// The SHA-256 of a token, so that no token lies in memory longer than its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Hashes a token, unless it is too long to be one.
    pub(crate) fn of(token: &str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Ok(Self(hash))
    }
}
