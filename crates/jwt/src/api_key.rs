//! API keys: `slk_` and 256 random bits in base64url.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use slipway_models::api_keys::API_KEY_PREFIX;
use zeroize::Zeroizing;

use crate::KeyError;

const BYTES: usize = 32;
/// How many random characters a key is shown by: 4 of 43.
const SHOWN: usize = API_KEY_PREFIX.len() + 4;

/// A new API key, which nothing tells again.
pub struct ApiKeySecret(Zeroizing<String>);

/// What an API key is known by without being kept: its SHA-256. It has 256 random bits, so nobody finds it by guessing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApiKeyFingerprint([u8; 32]);

/// Says that a text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a fingerprint: expected 64 hexadecimal digits")]
pub struct InvalidFingerprint;

impl ApiKeySecret {
    /// Makes a key of fresh random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut random = Zeroizing::new([0; BYTES]);
        aws_lc_rs::rand::fill(random.as_mut()).map_err(|_| KeyError::Cryptography)?;
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_ref()));
        Ok(Self(Zeroizing::new(format!("{API_KEY_PREFIX}{}", encoded.as_str()))))
    }

    /// Returns the key.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns how it begins.
    pub fn prefix(&self) -> &str {
        &self.0[..SHOWN]
    }

    /// Returns what it is known by.
    pub fn fingerprint(&self) -> ApiKeyFingerprint {
        ApiKeyFingerprint::hash(&self.0)
    }
}

impl ApiKeyFingerprint {
    /// Hashes a key; `None` for a text that never was one.
    pub fn of(text: &str) -> Option<Self> {
        let random = URL_SAFE_NO_PAD.decode(text.strip_prefix(API_KEY_PREFIX)?).ok().map(Zeroizing::new)?;
        (random.len() == BYTES).then(|| Self::hash(text))
    }

    /// Returns the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn hash(text: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Self(hash)
    }
}

impl fmt::Display for ApiKeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for ApiKeyFingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| InvalidFingerprint)?;
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_fingerprint_and_shown_by_its_beginning() {
        let key = ApiKeySecret::generate().unwrap();
        assert_eq!(key.expose().len(), 4 + 43);
        assert!(key.expose().starts_with(key.prefix()) && key.prefix().len() == 8);
        assert!(ApiKeyFingerprint::of(key.expose()) == Some(key.fingerprint()));
        assert!(key.fingerprint().to_string().parse() == Ok(key.fingerprint()));
        assert!(ApiKeySecret::generate().unwrap().fingerprint() != key.fingerprint());
    }

    #[test]
    fn what_never_was_a_key_has_no_fingerprint() {
        let random = "A".repeat(43);
        for text in [
            "",
            "slk_",
            "slk_x",
            &random,
            &format!("slk_{random}A"),
            &format!("slk_{}", &random[..42]),
            &format!("slk_{}/", &random[..42]),
            // The last character holds four bits: with others set it would be a second name of one key.
            &format!("slk_{}B", &random[..42]),
            &format!("SLK_{random}"),
        ] {
            assert!(ApiKeyFingerprint::of(text).is_none(), "{text}");
        }
        assert!(ApiKeyFingerprint::of(&format!("slk_{random}")).is_some());
        assert!("".parse::<ApiKeyFingerprint>().is_err() && "ab".parse::<ApiKeyFingerprint>().is_err());
    }
}
