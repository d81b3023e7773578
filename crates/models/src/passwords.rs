//! Passwords, and what the clients of blind accounts send in their place.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the client of a blind account derives what it sends from the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Kdf {
    /// The function.
    pub algorithm: KdfAlgorithm,
    /// How often it iterates: 600,000 to 10,000,000.
    #[schema(example = 600_000)]
    pub iterations: u32,
    /// 16 bytes, in base64.
    #[schema(example = "c2l4dGVlbiBieXRlcyE1Ng==")]
    pub salt: String,
}

/// A function that derives a key from a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum KdfAlgorithm {
    /// PBKDF2 with HMAC-SHA-256 (RFC 8018).
    #[serde(rename = "pbkdf2-sha256")]
    Pbkdf2Sha256,
}

/// The answer to `GET /auth/prelogin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreloginAnswer {
    /// How to derive `auth_hash`, were this a blind account.
    pub kdf: Kdf,
}

/// `PUT /auth/password`: what proves who the caller is, and what shall prove it from now on.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePasswordRequest {
    /// The password that counts until now; either this or `current_auth_hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_password: Option<String>,
    /// What the client of a blind account derived from it: 32 bytes, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_auth_hash: Option<String>,
    /// The new password; either this or `new_auth_hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_password: Option<String>,
    /// What the client derived from the new password: 32 bytes, in base64. The account is a blind one then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_auth_hash: Option<String>,
    /// How it derived `new_auth_hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_kdf: Option<Kdf>,
}
