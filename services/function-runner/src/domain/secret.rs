use std::fmt;

use chrono::{DateTime, Utc};
use slipway_kernel::{FunctionId, SecretId, UserId};
use slipway_models::functions::SecretBody;

const MAX_NAME: usize = 64;
/// The most secrets of a function.
pub const MAX_SECRETS: usize = 100;
/// The most bytes of a secret's value.
pub const MAX_SECRET_BYTES: usize = 32 * 1024;
/// The most bytes of all names and values of a function: they go to an instance in one message.
pub const MAX_SECRETS_BYTES: usize = 128 * 1024;

/// A secret's name: `[A-Z_][A-Z0-9_]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName(String);

/// Says that a text is no name of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must start with A to Z or _ and hold only A to Z, 0 to 9 and _, at most {MAX_NAME} in all")]
pub struct InvalidSecretName;

impl SecretName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SecretName {
    type Error = InvalidSecretName;

    fn try_from(text: String) -> Result<Self, InvalidSecretName> {
        let is_good = text.len() <= MAX_NAME
            && text.starts_with(|first: char| first.is_ascii_uppercase() || first == '_')
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        if is_good { Ok(Self(text)) } else { Err(InvalidSecretName) }
    }
}

/// A secret as it lies in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The secret.
    pub id: SecretId,
    /// The function that is told it.
    pub function_id: FunctionId,
    /// Whose function it is.
    pub owner: UserId,
    /// Unique in its function: the name of the variable that holds it.
    pub name: String,
    /// The sealed value.
    pub sealed: Sealed,
    /// When it was first set.
    pub created_at: DateTime<Utc>,
    /// When it was last set.
    pub updated_at: DateTime<Utc>,
}

/// A sealed value. Nobody without the key can read it; it is not shown all the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl Secret {
    /// Returns what its value is sealed for: it opens in no other place.
    pub fn context(&self) -> [Vec<u8>; 4] {
        [
            b"function secret".to_vec(),
            self.owner.as_uuid().as_bytes().to_vec(),
            self.function_id.as_uuid().as_bytes().to_vec(),
            self.name.clone().into_bytes(),
        ]
    }
}

impl From<Secret> for SecretBody {
    fn from(secret: Secret) -> Self {
        Self { name: secret.name, created_at: secret.created_at, updated_at: secret.updated_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_variables_in_capitals() {
        for good in ["A", "_", "API_KEY", "_1", &"A".repeat(64)] {
            assert!(SecretName::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "1A", "a", "A-B", "A.B", "Ä", "A B", "A=B", "A\0", "../A", &"A".repeat(65)] {
            assert_eq!(SecretName::try_from(bad.to_owned()), Err(InvalidSecretName), "{bad}");
        }
    }
}
