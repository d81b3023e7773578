//! How a cache knows a token without holding it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use quick_cache::sync::Cache;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::TokenError;
use crate::jws::MAX_TOKEN_BYTES;

/// What is known of tokens that were verified a moment ago, within a bound.
///
/// It remembers that a signature was right and nothing else: times and revocation are checked at each hit.
pub(crate) struct VerifiedTokens<T> {
    /// With a key of this process: who does not know it cannot make a token that has another's fingerprint.
    hasher: SipHasher24,
    known: Cache<Fingerprint, T>,
}

/// SipHash-2-4 of a token, of 128 bits (Aumasson and Bernstein, 2012), so that no token lies in memory longer than its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u128);

impl<T: Clone> VerifiedTokens<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let random = RandomState::new();
        let hasher = SipHasher24::new_with_keys(random.hash_one(0), random.hash_one(1));
        Self { hasher, known: Cache::new(capacity) }
    }

    /// Takes the fingerprint of a token, unless it is too long to be one.
    pub(crate) fn fingerprint(&self, token: &str) -> Result<Fingerprint, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let mut hasher = self.hasher;
        hasher.write(token.as_bytes());
        Ok(Fingerprint(hasher.finish128().as_u128()))
    }

    pub(crate) fn get(&self, fingerprint: Fingerprint) -> Option<T> {
        self.known.get(&fingerprint)
    }

    pub(crate) fn insert(&self, fingerprint: Fingerprint, value: T) {
        self.known.insert(fingerprint, value);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_all_of_it_and_in_no_other_process() {
        let (ours, others) = (VerifiedTokens::<()>::new(10), VerifiedTokens::<()>::new(10));
        let token = "a".repeat(1_000);
        let known = ours.fingerprint(&token).unwrap();
        ours.insert(known, ());
        assert!(ours.get(ours.fingerprint(&token).unwrap()).is_some());
        assert!(others.fingerprint(&token).unwrap() != known);
        for place in 0..token.len() {
            let mut other = token.clone();
            other.replace_range(place..=place, "b");
            assert!(ours.get(ours.fingerprint(&other).unwrap()).is_none(), "{place}");
        }
        assert!(ours.get(ours.fingerprint(&token[1..]).unwrap()).is_none());
        let too_long = "a".repeat(MAX_TOKEN_BYTES + 1);
        assert!(matches!(ours.fingerprint(&too_long), Err(TokenError::TooLong)));
    }
}
