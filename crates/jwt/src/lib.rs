#![doc = include_str!("../README.md")]

mod access;
mod api_key;
mod error;
mod fingerprint;
mod identity;
mod jwks;
mod jws;
mod keys;
mod revocation;
mod secret_key;

pub use access::{
    ACCESS_LIFETIME, AccessClaims, AccessIssuer, AccessVerifier, Grant, IssuedAccess, VerifiedAccess,
};
pub use api_key::{ApiKeyFingerprint, ApiKeySecret, InvalidFingerprint};
pub use error::{KeyError, TokenError};
pub use identity::{
    Identity, IdentitySigner, IdentityVerifier, InvalidServiceName, ServiceName, SignedIdentities, Subject,
    TrustedKeys, UserIdentity,
};
pub use jwks::{Jwk, Jwks};
pub use keys::{KeyFile, Rotation, SHOWN_BEFORE_IT_SIGNS, SigningKeys};
pub use revocation::RevokedTokens;
pub use secret_key::SecretKey;

/// Files of keys of other kinds, kept by the same rules.
pub mod key_files {
    pub use crate::keys::{create_directory, list, read_private, write_private};
}
