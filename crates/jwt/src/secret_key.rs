use std::path::Path;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::{KeyError, keys};

const BYTES: usize = 32;
const LABEL: &str = "SLIPWAY SECRET KEY";

/// A key of 256 random bits for HMAC-SHA-256 (RFC 2104): what it digests can be compared, but not found out from a
/// database alone.
pub struct SecretKey(hmac::Key);

impl SecretKey {
    /// Loads `<name>.secret.pem` from `directory`, and makes it at first start. Processes that start at the same
    /// time end with the same key.
    pub fn load_or_create(directory: &Path, name: &str) -> Result<Self, KeyError> {
        keys::create_directory(directory)?;
        let path = directory.join(format!("{name}.secret.pem"));
        if !path.exists() {
            let mut new = Zeroizing::new([0; BYTES]);
            aws_lc_rs::rand::fill(new.as_mut()).map_err(|_| KeyError::Cryptography)?;
            keys::write_private(&path, LABEL, new.as_ref())?;
        }
        let not_a_key =
            || KeyError::NotAKey { path: path.clone(), expected: "a secret key of 32 bytes in PEM" };
        let text = keys::read_private(&path)?;
        let parsed = pem::parse(text.as_bytes()).map_err(|_| not_a_key())?;
        if parsed.tag() != LABEL || parsed.contents().len() != BYTES {
            return Err(not_a_key());
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, parsed.contents())))
    }

    /// Digests `message`. `purpose` keeps the digests of one key for different ends apart.
    pub fn digest(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&(purpose.len() as u64).to_be_bytes());
        context.update(purpose.as_bytes());
        context.update(message);
        let tag = context.sign();
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outlives_a_restart_and_keeps_purposes_apart() {
        let directory = tempfile::tempdir().unwrap();
        let first = SecretKey::load_or_create(directory.path(), "auth").unwrap();
        let again = SecretKey::load_or_create(directory.path(), "auth").unwrap();
        assert_eq!(first.digest("a", b"message"), again.digest("a", b"message"));
        assert_ne!(first.digest("a", b"message"), first.digest("b", b"message"));
        let other = SecretKey::load_or_create(directory.path(), "other").unwrap();
        assert_ne!(first.digest("a", b"message"), other.digest("a", b"message"));
    }
}
