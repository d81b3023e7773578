use std::str::FromStr;

use chrono::{DateTime, Utc};
use slipway_kernel::UserId;
use slipway_models::auth::{UserBody, UserStatus, UserType};

use super::{ClientKdf, Email, Handle, StatedApps};

/// An account.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "user_type is the contract's name")]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) handle: String,
    pub(crate) email: String,
    pub(crate) username: Option<String>,
    pub(crate) user_type: UserType,
    pub(crate) status: UserStatus,
    pub(crate) email_verified: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_login_at: Option<DateTime<Utc>>,
    /// Which generation the access tokens are of that state all this.
    pub(crate) token_generation: i64,
    /// The apps that are stated for its holder alone.
    pub(crate) apps: StatedApps,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            handle: user.handle,
            email: user.email,
            username: user.username,
            user_type: user.user_type,
            status: user.status,
            is_active: user.status == UserStatus::Active,
            email_verified: user.email_verified,
            created_at: user.created_at,
            last_login_at: user.last_login_at,
        }
    }
}

/// An account that is about to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewUser {
    pub(crate) id: UserId,
    pub(crate) handle: Handle,
    pub(crate) email: Email,
    pub(crate) username: Option<Username>,
    pub(crate) full_name: Option<String>,
    pub(crate) password_hash: String,
    /// How its client derives, where it is a blind account.
    pub(crate) kdf: Option<ClientKdf>,
    pub(crate) user_type: UserType,
    pub(crate) status: UserStatus,
    pub(crate) created_at: DateTime<Utc>,
}

impl NewUser {
    /// Returns the name that the handle is made of.
    pub(crate) fn handle_source(username: Option<&Username>, email: &Email) -> String {
        username.map_or_else(|| email.local().to_owned(), |name| name.as_str().to_owned())
    }
}

/// How a person names their account at a sign-in.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    Email(Email),
    Username(Username),
}

/// A name to sign in with: 3 to 32 of `a-z`, `0-9`, `.`, `_` and `-`, starting with a letter; kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Username(String);

impl Username {
    /// The first superuser's, where no other is set.
    pub(crate) fn admin() -> Self {
        Self("admin".to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let name = text.to_lowercase();
        let sound = (3..=32).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
        if sound {
            Ok(Self(name))
        } else {
            Err("must be 3 to 32 letters, digits, dots, hyphens or underscores, and start with a letter")
        }
    }
}
