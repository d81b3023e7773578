//! Accounts, sign-in and tokens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_kernel::{SessionId, UserId};
use utoipa::ToSchema;

/// What a person may do on the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserType {
    /// Runs the platform.
    Admin,
    /// Sees servers and images, and builds images.
    Qvp,
    /// Uses the platform.
    Regular,
}

impl UserType {
    /// Returns the name as it goes over the wire and into the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Qvp => "qvp",
            Self::Regular => "regular",
        }
    }

    /// Reads a name as [`UserType::as_str`] writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Admin, Self::Qvp, Self::Regular].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserStatus {
    /// Waits for an admin's approval.
    Pending,
    /// May sign in.
    Active,
    /// May not sign in.
    Disabled,
}

impl UserStatus {
    /// Returns the name as it goes over the wire and into the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// Reads a name as [`UserStatus::as_str`] writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::Disabled].into_iter().find(|status| status.as_str() == name)
    }
}

/// `POST /auth/register`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The address that the account is known by.
    #[schema(example = "ada@example.org")]
    pub email: String,
    /// 8 to 128 characters, with an upper-case letter and a special character.
    pub password: String,
    /// A second name to sign in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
}

/// The answer to a registration.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RegisterAnswer {
    /// The new account.
    pub user: UserBody,
}

/// An account, as its owner and the admins see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserBody {
    /// The account's id.
    #[schema(value_type = String, format = Uuid)]
    pub id: UserId,
    /// A slug made at registration, never changed and never given to another.
    #[schema(example = "ada")]
    pub handle: String,
    /// The address that the account is known by.
    pub email: String,
    /// A second name to sign in with.
    pub username: Option<String>,
    /// What the person may do.
    pub user_type: UserType,
    /// Where the account stands.
    pub status: UserStatus,
    /// True for an active account.
    pub is_active: bool,
    /// True once the person has shown that the address is theirs.
    pub email_verified: bool,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
    /// When the person last signed in.
    pub last_login_at: Option<DateTime<Utc>>,
}

/// `POST /auth/login`: an address or a user name, and the password.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The account's address; either this or `username`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The account's user name; either this or `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password.
    pub password: String,
}

/// `POST /auth/refresh` and `POST /auth/logout`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token of the last answer. It works once.
    pub refresh_token: String,
}

/// The tokens of a session.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenAnswer {
    /// A signed token (RS256) for `Authorization: Bearer`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// How long the access token works, in seconds.
    pub expires_in: i64,
    /// An opaque token that works once, at `POST /auth/refresh`.
    pub refresh_token: String,
    /// How long the session can be refreshed, in seconds from now.
    pub refresh_expires_in: i64,
    /// The session.
    #[schema(value_type = String, format = Uuid)]
    pub session_id: SessionId,
}

/// The answer to `GET /internal/revocations`, which auth gives the gateways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationFeed {
    /// The sessions whose access tokens must be refused.
    pub revoked: Vec<RevokedSessionBody>,
    /// Gives what came since; opaque.
    pub cursor: String,
}

/// A session whose access tokens must be refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedSessionBody {
    /// The session.
    pub session_id: SessionId,
    /// After this time no token of the session is valid anyway.
    pub expires_at: DateTime<Utc>,
}
