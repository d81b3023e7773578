//! The signed form (RFC 7515), read as strictly as what this platform writes (RFC 8725).

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, Signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{KeyError, TokenError};

/// No token of ours comes near it.
pub(crate) const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How far two machines' clocks may lie apart, in seconds, either way.
pub(crate) const LEEWAY: i64 = 5;

/// The times of a token, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) issued_at: i64,
    pub(crate) not_before: i64,
    pub(crate) expires_at: i64,
}

impl Lifetime {
    /// Checks the times against the clock. `longest` is the longest life that the platform gives, and `grace` for how
    /// long a token is good after its end, both in seconds.
    pub(crate) fn check(self, now: DateTime<Utc>, longest: i64, grace: i64) -> Result<(), TokenError> {
        let now = now.timestamp();
        if self.expires_at.saturating_sub(self.issued_at) > longest {
            return Err(TokenError::Claims);
        }
        if now >= self.expires_at.saturating_add(grace) {
            return Err(TokenError::Expired);
        }
        if self.issued_at.max(self.not_before) > now.saturating_add(LEEWAY) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

/// All that a header may hold. A member beyond these, or one that is there twice, is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: Algorithm,
    kid: String,
    #[serde(rename = "typ")]
    _typ: Option<String>,
}

/// A private key that was parsed before. `jsonwebtoken` parses and checks the key at each signature, and so loses what
/// aws-lc keeps with an RSA key to blind the next signature by: half of the time.
pub(crate) trait PrivateKey {
    const ALGORITHM: Algorithm;
    type Signature: AsRef<[u8]>;

    fn signature(&self, message: &[u8]) -> Result<Self::Signature, Unspecified>;
}

impl PrivateKey for RsaKeyPair {
    const ALGORITHM: Algorithm = Algorithm::RS256;
    type Signature = Vec<u8>;

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut signature = vec![0; self.public_modulus_len()];
        self.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
        Ok(signature)
    }
}

impl PrivateKey for Ed25519KeyPair {
    const ALGORITHM: Algorithm = Algorithm::EdDSA;
    type Signature = Signature;

    fn signature(&self, message: &[u8]) -> Result<Signature, Unspecified> {
        self.try_sign(message)
    }
}

/// Signs `claims`.
pub(crate) fn sign<K: PrivateKey>(kid: &str, key: &K, claims: &impl Serialize) -> Result<String, KeyError> {
    let part = |value: serde_json::Result<Vec<u8>>| {
        value.map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_| KeyError::Cryptography)
    };
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(K::ALGORITHM) };
    let mut token = format!("{}.{}", part(serde_json::to_vec(&header))?, part(serde_json::to_vec(claims))?);
    let signature = key.signature(token.as_bytes()).map_err(|_| KeyError::Cryptography)?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// Reads which key a token names, and refuses a header that is not of our making.
pub(crate) fn key_id(token: &str, algorithm: Algorithm) -> Result<String, TokenError> {
    let (header, _) = token.split_once('.').ok_or(TokenError::Malformed)?;
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Malformed)?;
    let header: StrictHeader = serde_json::from_slice(&header).map_err(|_| TokenError::Header)?;
    if header.alg == algorithm { Ok(header.kid) } else { Err(TokenError::Header) }
}

/// Makes the checks of a kind of token but for its times, which the kernel's clock decides.
pub(crate) fn validation(algorithm: Algorithm, issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["aud", "exp", "iss", "nbf", "sub"]);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.validate_exp = false;
    validation
}

/// Verifies the signature, and reads the claims.
pub(crate) fn verify<C: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    validation: &Validation,
) -> Result<C, TokenError> {
    match jsonwebtoken::decode(token, key, validation) {
        Ok(token) => Ok(token.claims),
        Err(fault) => Err(match fault.kind() {
            ErrorKind::InvalidToken | ErrorKind::Base64(_) => TokenError::Malformed,
            ErrorKind::InvalidSignature => TokenError::Signature,
            ErrorKind::InvalidAlgorithm => TokenError::Header,
            _ => TokenError::Claims,
        }),
    }
}
