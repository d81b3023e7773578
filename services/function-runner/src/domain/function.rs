use std::fmt;

use chrono::{DateTime, Utc};
use slipway_kernel::{FunctionId, UserId};
use slipway_models::functions::{FunctionBody, FunctionConfig, FunctionStatus, Runtime};

const MAX_NAME: usize = 63;

/// A function's name: `[a-z][a-z0-9-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionName(String);

/// Says that a text is no name of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must start with a letter a to z and hold only a to z, 0 to 9 and -, at most {MAX_NAME} in all")]
pub struct InvalidName;

impl TryFrom<String> for FunctionName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let is_good = text.len() <= MAX_NAME
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if is_good { Ok(Self(text)) } else { Err(InvalidName) }
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<FunctionName> for String {
    fn from(name: FunctionName) -> Self {
        name.0
    }
}

/// A function, as its owner has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// The function.
    pub id: FunctionId,
    /// Whose it is.
    pub owner: UserId,
    /// Unique among its owner's.
    pub name: String,
    /// What runs it; of the active version, or of the first attempt.
    pub runtime: Runtime,
    /// Where it stands.
    pub status: FunctionStatus,
    /// The version that answers calls.
    pub active_version: Option<i32>,
    /// The newest version there is, active or not.
    pub last_version: i32,
    /// How it runs.
    pub config: FunctionConfig,
    /// When it was first deployed.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Function {
    /// Returns the function as its owner sees it, who goes by `handle` in URLs.
    pub fn shown_to(self, handle: &str) -> FunctionBody {
        FunctionBody {
            url: format!("/f/{handle}/{}", self.name),
            id: self.id,
            name: self.name,
            runtime: self.runtime,
            status: self.status,
            active_version: self.active_version,
            config: self.config,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_labels() {
        for good in ["a", "hello", "a-1", &"a".repeat(63)] {
            assert!(FunctionName::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "A", "a_b", "a.b", "ä", "a b", "a/..", &"a".repeat(64)] {
            assert_eq!(FunctionName::try_from(bad.to_owned()), Err(InvalidName), "{bad}");
        }
    }
}
