use std::path::{Path, PathBuf};

use slipway_kernel::ErrorCode;

/// Says why a token is refused. Its text may be shown to the client: it holds nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is longer than any that the platform issues.
    #[error("the token is longer than 8192 bytes")]
    TooLong,
    /// It has not the three parts of a signed token, or they are no base64url.
    #[error("the token is not a signed token of three base64url parts")]
    Malformed,
    /// Its header asks for another algorithm, holds no `kid`, or holds what this platform never writes: an embedded
    /// key, a link to one, `crit`.
    #[error(
        "the token's header must hold the expected algorithm and a key id, and nothing but those and a type"
    )]
    Header,
    /// No key goes by its `kid`. A verifier with a newer key set may know it.
    #[error("the token is signed with a key that is not known")]
    UnknownKey,
    /// Its signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing, of the wrong type or meant for another.
    #[error("the token's claims are missing, of the wrong type, or meant for another issuer or audience")]
    Claims,
    /// It is over.
    #[error("the token has expired")]
    Expired,
    /// Its time is still to come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Its session was ended, or what it says of its user holds no more.
    #[error("the token has been revoked: its session has ended, or its account has changed")]
    Revoked,
}

impl TokenError {
    /// Returns the stable code: `token_expired`, `token_revoked` or `token_invalid`.
    pub fn code(self) -> ErrorCode {
        ErrorCode::new(match self {
            Self::Expired => "token_expired",
            Self::Revoked => "token_revoked",
            _ => "token_invalid",
        })
    }
}

/// Says why a key cannot be used or made. It never holds a part of the key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file or directory cannot be read or written.
    #[error("cannot access {path}: {cause}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// Others may read a private key, or write a public one.
    #[error("{path} has mode {mode:04o}: {rule}")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What is expected.
        rule: &'static str,
    },
    /// A file is no key of the expected kind.
    #[error("{path} is not {expected}")]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// A new key would not be the last by name: the clock is behind the one that it was made by.
    #[error("{path} would not be the last key by its name: the clock is behind that of an earlier key")]
    NameTaken {
        /// The new key's file.
        path: PathBuf,
    },
    /// A key set holds a key that is no usable RS256 key.
    #[error("the key set holds a key that is no RSA key of 4096 bits or more")]
    KeySet,
    /// The cryptography failed.
    #[error("the key could not be made or used")]
    Cryptography,
}

impl KeyError {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::File { path, cause }
    }
}
