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

/// `POST /auth/password/forgot`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgotPasswordRequest {
    /// The account's address.
    #[schema(example = "ada@example.org")]
    pub email: String,
}

/// `POST /auth/password/reset`: the token of a letter's link, and what shall prove from now on whose account it is.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPasswordRequest {
    /// What stands after `#token=` in the link.
    pub token: String,
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

/// `POST /auth/email/verify`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyEmailRequest {
    /// What stands after `#token=` in the letter's link.
    pub token: String,
}

/// An answer that is the same whatever came of the request: what did, a letter says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedAnswer {
    /// A sentence for people.
    pub message: String,
}
