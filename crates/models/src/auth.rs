//! Accounts, sign-in and tokens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_kernel::{SessionId, UserId};
use utoipa::ToSchema;

use crate::passwords::Kdf;

/// The cookie that holds an access token. Its prefix ties it to the host that set it, over TLS (RFC 6265bis).
pub const ACCESS_COOKIE: &str = "__Host-slipway_access";
/// The cookie that holds a refresh token.
pub const REFRESH_COOKIE: &str = "__Host-slipway_refresh";
/// The header by which the gateway tells auth what it found of a request's `Origin`.
pub const ORIGIN_HEADER: &str = "x-slipway-origin";
/// The value of [`ORIGIN_HEADER`] for an origin that may use cookies.
pub const ORIGIN_ALLOWED: &str = "allowed";
/// The channel on which gateways are told to ask for revocations at once.
pub const REVOCATIONS_CHANNEL: &str = "slipway:revocations";

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

/// `POST /auth/register`: with a password, or for a blind account with `auth_hash` and `kdf`.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The address that the account is known by.
    #[schema(example = "ada@example.org")]
    pub email: String,
    /// 8 to 128 characters, with an upper-case letter and a special character, where no other policy is set. Either
    /// this or `auth_hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// What the client derived from the password: 32 bytes, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_hash: Option<String>,
    /// How it derived `auth_hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kdf: Option<Kdf>,
    /// A second name to sign in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
}

/// The answer to a registration, and to `POST /users`.
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

/// `POST /auth/login`: an address or a user name, and the password or what was derived from it.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The account's address; either this or `username`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The account's user name; either this or `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password; either this or `auth_hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// What the client of a blind account derived from the password: 32 bytes, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_hash: Option<String>,
    /// How the tokens are handed over.
    #[serde(default, skip_serializing_if = "Transport::is_bearer")]
    pub transport: Transport,
}

/// How a client is given its tokens, and shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// In the body of the answer, and in `Authorization: Bearer`.
    #[default]
    Bearer,
    /// As cookies that no script can read.
    Cookie,
}

impl Transport {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
    fn is_bearer(&self) -> bool {
        *self == Self::Bearer
    }
}

/// `POST /auth/refresh`; with the refresh cookie neither field need be there, nor a body at all.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token of the last answer. It works once. Without it the cookie counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// How the next tokens are handed over; left out, as the one before was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
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

/// The tokens of a session whose tokens are in cookies: when they end.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CookieAnswer {
    /// How long the access token works, in seconds.
    pub expires_in: i64,
    /// How long the session can be refreshed, in seconds from now.
    pub refresh_expires_in: i64,
    /// The session.
    #[schema(value_type = String, format = Uuid)]
    pub session_id: SessionId,
}

/// A sign-in that can still be refreshed, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionBody {
    /// The session's id.
    #[schema(value_type = String, format = Uuid)]
    pub id: SessionId,
    /// When the person signed in.
    pub created_at: DateTime<Utc>,
    /// When tokens were last given out.
    pub last_used_at: DateTime<Utc>,
    /// After this it cannot be refreshed.
    pub expires_at: DateTime<Utc>,
    /// The address that the sign-in came from.
    pub address: Option<String>,
    /// The `user-agent` that the sign-in named.
    pub agent: Option<String>,
    /// Whether it is the session that asks.
    pub current: bool,
}

/// The answer to `GET /internal/deleted-users?after=`, which auth gives services that keep what belongs to people: some of
/// those after the position, the earliest first, and none where there are no more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeletedUsers {
    /// The accounts.
    pub users: Vec<DeletedUserBody>,
}

/// An account that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedUserBody {
    /// Rises from one deletion to the next.
    pub position: i64,
    /// Whose it was. Nobody else ever has this id.
    pub user_id: UserId,
}

/// The answer to `GET /internal/revocations`, which auth gives the gateways.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RevocationFeed {
    /// The sessions whose access tokens must be refused.
    pub revoked: Vec<RevokedSessionBody>,
    /// The users whose older access tokens must be refused.
    #[serde(default)]
    pub users: Vec<RevokedUserBody>,
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

/// A user whose older access tokens must be refused, of whichever session they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedUserBody {
    /// The user.
    pub user_id: UserId,
    /// The least generation that a token of the user's must be of.
    pub generation: i64,
    /// After this time no older token is valid anyway.
    pub expires_at: DateTime<Utc>,
}
