use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use slipway_kernel::SigningKeyId;

const DIGEST_BYTES: usize = 16;

/// What a signature is known by once it was used: when it was made, and the beginning of its MAC. As a text,
/// `<seconds since 1970>.<hexadecimal>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SignatureMark {
    signed_at: i64,
    digest: [u8; DIGEST_BYTES],
}

/// Which key let a call in, and by which signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBy {
    /// The key.
    pub key_id: SigningKeyId,
    /// The signature.
    pub signature: SignatureMark,
}

/// Says that a text is no mark of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the mark of a signature")]
pub struct InvalidMark;

impl SignatureMark {
    /// Makes the mark of a signature that was made at a time in seconds since 1970.
    pub fn new(signed_at: i64, mac: &[u8; 32]) -> Self {
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&mac[..DIGEST_BYTES]);
        Self { signed_at, digest }
    }

    /// Returns when the signature was made, in seconds since 1970.
    pub fn signed_at(&self) -> i64 {
        self.signed_at
    }

    /// Returns the beginning of the MAC.
    pub fn digest(&self) -> [u8; DIGEST_BYTES] {
        self.digest
    }
}

impl fmt::Display for SignatureMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.signed_at, hex::encode(self.digest))
    }
}

impl FromStr for SignatureMark {
    type Err = InvalidMark;

    fn from_str(text: &str) -> Result<Self, InvalidMark> {
        let (signed_at, digits) = text.split_once('.').ok_or(InvalidMark)?;
        let mut digest = [0; DIGEST_BYTES];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| InvalidMark)?;
        Ok(Self { signed_at: signed_at.parse().map_err(|_| InvalidMark)?, digest })
    }
}

impl From<SignatureMark> for String {
    fn from(mark: SignatureMark) -> Self {
        mark.to_string()
    }
}

impl TryFrom<String> for SignatureMark {
    type Error = InvalidMark;

    fn try_from(text: String) -> Result<Self, InvalidMark> {
        text.parse()
    }
}
