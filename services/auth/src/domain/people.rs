use std::ops::RangeInclusive;
use std::str::FromStr;

use slipway_models::auth::{UserStatus, UserType};

use super::User;
use crate::error::AuthError;

/// How many characters a lookup takes: fewer would list everyone.
pub(crate) const LOOKUP_LENGTH: RangeInclusive<usize> = 3..=100;

/// How a handle or a name begins, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix(String);

impl Prefix {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Prefix {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, AuthError> {
        let text = text.trim();
        if LOOKUP_LENGTH.contains(&text.chars().count()) && !text.contains('\0') {
            Ok(Self(text.to_lowercase()))
        } else {
            Err(AuthError::InvalidLookup)
        }
    }
}

/// Which accounts are asked for.
#[derive(Debug, Default)]
pub(crate) struct UserFilter {
    /// A part of the handle, address, user name or name.
    pub(crate) query: Option<String>,
    pub(crate) status: Option<UserStatus>,
    pub(crate) user_type: Option<UserType>,
}

/// Where an account stands, and what its holder may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) user_type: UserType,
    pub(crate) status: UserStatus,
}

impl Standing {
    pub(crate) fn of(user: &User) -> Self {
        Self { user_type: user.user_type, status: user.status }
    }

    /// Tells whether its holder can run the platform.
    pub(crate) fn runs_the_platform(self) -> bool {
        self == Self { user_type: UserType::Admin, status: UserStatus::Active }
    }

    /// Returns what it becomes by an admin's change.
    ///
    /// # Errors
    /// An account that waits for approval is neither disabled nor let in by the way.
    pub(crate) fn changed(
        self,
        user_type: Option<UserType>,
        is_active: Option<bool>,
    ) -> Result<Self, AuthError> {
        let status = match (self.status, is_active) {
            (UserStatus::Pending, Some(_)) => return Err(AuthError::StillPending),
            (status, None) => status,
            (_, Some(true)) => UserStatus::Active,
            (_, Some(false)) => UserStatus::Disabled,
        };
        Ok(Self { user_type: user_type.unwrap_or(self.user_type), status })
    }

    /// Returns what it becomes once an admin has decided on it.
    ///
    /// # Errors
    /// It does not wait for that.
    pub(crate) fn decided(self, status: UserStatus) -> Result<Self, AuthError> {
        if self.status == UserStatus::Pending {
            Ok(Self { status, ..self })
        } else {
            Err(AuthError::NotPending)
        }
    }
}
