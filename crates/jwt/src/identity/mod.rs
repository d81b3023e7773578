//! The identity that goes with each request between services: `EdDSA`, a minute at the most.

mod signer;
mod trusted;
mod verifier;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};
use slipway_kernel::{SessionId, UserId};
use slipway_models::auth::UserType;

use crate::jws::Lifetime;

pub use signer::{IdentitySigner, SignedIdentities};
pub use trusted::TrustedKeys;
pub use verifier::IdentityVerifier;

const ALGORITHM: Algorithm = Algorithm::EdDSA;
/// How long an identity works, in seconds.
const LIFETIME: i64 = 60;
/// How long one is used again, in seconds: what is left is time for the request to arrive.
const REUSED_FOR: i64 = 30;

/// The only service that speaks for users.
const GATEWAY: &str = "gateway";

/// Who calls, as a service may believe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The service that signed.
    pub issuer: ServiceName,
    /// On whose behalf.
    pub subject: Subject,
}

/// On whose behalf a request is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A person, through the gateway.
    User(UserIdentity),
    /// A service, for work of its own.
    Service(ServiceName),
}

/// A person who signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIdentity {
    /// The user.
    #[serde(rename = "sub")]
    pub user_id: UserId,
    /// The session.
    #[serde(rename = "sid")]
    pub session_id: SessionId,
    /// The slug that names the user in URLs, for good.
    pub handle: Arc<str>,
    /// What the user may do.
    pub user_type: UserType,
    /// The apps that the user may use.
    pub apps: Arc<[String]>,
}

/// The name of one of the platform's services, such as `gateway`: lower-case letters, digits and `-`, at most 32.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

/// Says that a text is no name of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a service's name: expected 1 to 32 lower-case letters, digits and hyphens, a letter first")]
pub struct InvalidServiceName;

impl ServiceName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = InvalidServiceName;

    fn from_str(text: &str) -> Result<Self, InvalidServiceName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let starts_well = text.starts_with(|first: char| first.is_ascii_lowercase());
        if starts_well && text.len() <= 32 && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidServiceName)
        }
    }
}

impl TryFrom<String> for ServiceName {
    type Error = InvalidServiceName;

    fn try_from(text: String) -> Result<Self, InvalidServiceName> {
        text.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Serialize, Deserialize)]
struct IdentityClaims {
    iss: ServiceName,
    aud: ServiceName,
    exp: i64,
    iat: i64,
    nbf: i64,
    #[serde(flatten)]
    subject: SubjectClaims,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "typ", rename_all = "lowercase")]
enum SubjectClaims {
    Identity(UserIdentity),
    Service { sub: ServiceName },
}

impl IdentityClaims {
    fn lifetime(&self) -> Lifetime {
        Lifetime { issued_at: self.iat, not_before: self.nbf, expires_at: self.exp }
    }
}
