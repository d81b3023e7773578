use chrono::{DateTime, Utc};
use slipway_kernel::{FunctionId, SigningKeyId, UserId};
use slipway_models::functions::{SigningKeyBody, SigningScheme};

use super::Sealed;

/// How many keys sign the calls of a function, at the most.
pub const MAX_SIGNING_KEYS: usize = 20;
/// The most characters of what a key is called.
pub const MAX_SIGNING_KEY_NAME: usize = 100;
/// How every secret of a key begins, so that one that has leaked is known for what it is.
pub const SIGNING_SECRET_PREFIX: &str = "slf_";

/// A key that signs calls of one function, as it lies in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The key.
    pub id: SigningKeyId,
    /// The function whose calls it signs.
    pub function_id: FunctionId,
    /// Whose function it is.
    pub owner: UserId,
    /// What its owner calls it.
    pub name: Option<String>,
    /// How calls are signed with it.
    pub scheme: SigningScheme,
    /// How its secret begins.
    pub prefix: String,
    /// The sealed secret.
    pub sealed: Sealed,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl SigningKey {
    /// Returns what its secret is sealed for: it opens in no other place.
    pub fn context(&self) -> [Vec<u8>; 4] {
        [
            b"function signing key".to_vec(),
            self.owner.as_uuid().as_bytes().to_vec(),
            self.function_id.as_uuid().as_bytes().to_vec(),
            self.id.as_uuid().as_bytes().to_vec(),
        ]
    }
}

impl From<SigningKey> for SigningKeyBody {
    fn from(key: SigningKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            scheme: key.scheme,
            prefix: key.prefix,
            created_at: key.created_at,
        }
    }
}
