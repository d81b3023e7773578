//! API keys: what a program shows in the place of a person's access token (ADR 24).

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_kernel::{ApiKeyId, UserId};
use utoipa::ToSchema;

use crate::auth::UserType;

/// What every API key begins with.
pub const API_KEY_PREFIX: &str = "slk_";

/// How far a scope reaches within its app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// What GET and HEAD do.
    Read,
    /// All that the app has.
    Write,
    /// Calls of functions by their own URLs, below `/f/`.
    Invoke,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Scope {
    /// Read functions, their runs and their logs.
    #[serde(rename = "functions:read")]
    FunctionsRead,
    /// Deploy, change, run and delete functions; the other two as well.
    #[serde(rename = "functions:write")]
    FunctionsWrite,
    /// Call functions by their own URLs.
    #[serde(rename = "functions:invoke")]
    FunctionsInvoke,
    /// Read the vault.
    #[serde(rename = "vault:read")]
    VaultRead,
    /// Read and change the vault.
    #[serde(rename = "vault:write")]
    VaultWrite,
    /// Read documents.
    #[serde(rename = "documents:read")]
    DocumentsRead,
    /// Read and change documents.
    #[serde(rename = "documents:write")]
    DocumentsWrite,
    /// Read tasks.
    #[serde(rename = "tasks:read")]
    TasksRead,
    /// Read and change tasks.
    #[serde(rename = "tasks:write")]
    TasksWrite,
    /// Read the workspace.
    #[serde(rename = "workspace:read")]
    WorkspaceRead,
    /// Read and change the workspace.
    #[serde(rename = "workspace:write")]
    WorkspaceWrite,
}

/// Each scope: its name, the app that it is of, and how far it reaches there.
const SCOPES: [(Scope, &str, &str, Reach); 11] = [
    (Scope::FunctionsRead, "functions:read", "functions", Reach::Read),
    (Scope::FunctionsWrite, "functions:write", "functions", Reach::Write),
    (Scope::FunctionsInvoke, "functions:invoke", "functions", Reach::Invoke),
    (Scope::VaultRead, "vault:read", "vault", Reach::Read),
    (Scope::VaultWrite, "vault:write", "vault", Reach::Write),
    (Scope::DocumentsRead, "documents:read", "documents", Reach::Read),
    (Scope::DocumentsWrite, "documents:write", "documents", Reach::Write),
    (Scope::TasksRead, "tasks:read", "tasks", Reach::Read),
    (Scope::TasksWrite, "tasks:write", "tasks", Reach::Write),
    (Scope::WorkspaceRead, "workspace:read", "workspace", Reach::Read),
    (Scope::WorkspaceWrite, "workspace:write", "workspace", Reach::Write),
];

impl Scope {
    /// Lists all scopes.
    pub fn all() -> impl Iterator<Item = Self> {
        SCOPES.iter().map(|(scope, ..)| *scope)
    }

    /// Returns the name as it goes over the wire and into the database.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// Returns the app that the scope is of.
    pub fn app(self) -> &'static str {
        self.row().2
    }

    /// Reads a name as [`Scope::as_str`] writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        SCOPES.iter().find(|(_, known, ..)| *known == name).map(|(scope, ..)| *scope)
    }

    /// Tells whether the scope allows this in an app. Write includes the rest.
    pub fn allows(self, app: &str, reach: Reach) -> bool {
        let (_, _, own, far) = self.row();
        own == app && (far == reach || far == Reach::Write)
    }

    fn row(self) -> (Self, &'static str, &'static str, Reach) {
        SCOPES.into_iter().find(|(scope, ..)| *scope == self).unwrap_or(SCOPES[0])
    }
}

/// `POST /api-keys`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKeyRequest {
    /// What the owner knows the key by: 1 to 100 characters.
    #[schema(example = "deploys from CI")]
    pub name: String,
    /// What the key may do, within what its owner may: one scope or more.
    pub scopes: Vec<Scope>,
    /// When it ends, at most a year ahead; 90 days where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// An API key, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyBody {
    /// The key's id.
    #[schema(value_type = String, format = Uuid)]
    pub id: ApiKeyId,
    /// What the owner knows the key by.
    pub name: String,
    /// How the key begins: enough to find where it is used.
    #[schema(example = "slk_x7Qa")]
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends, or has ended.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to within about a minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A new API key. This answer alone holds the key itself.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewApiKeyBody {
    /// What is known of it from now on.
    #[serde(flatten)]
    pub key: ApiKeyBody,
    /// The key itself, for `Authorization: Bearer` or `X-Api-Key`.
    #[schema(example = "slk_x7Qa…")]
    pub secret: String,
}

/// Without the key itself.
impl fmt::Debug for NewApiKeyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewApiKeyBody").field("key", &self.key).finish_non_exhaustive()
    }
}

/// `POST /internal/api-keys`: a gateway asks auth for a key that it was shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyQuestion {
    /// The SHA-256 of the key, in hexadecimal: the key itself stays at the gateway.
    pub fingerprint: String,
}

/// What auth knows of an API key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApiKeyAnswer {
    /// The key, where it can be used: it is there, has not ended, and its owner may sign in.
    pub key: Option<KnownApiKey>,
}

/// An API key that can be used, and on whose behalf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownApiKey {
    /// The key's id, which stands for a session's wherever one is named.
    pub id: ApiKeyId,
    /// What it may do, within `apps`.
    pub scopes: Vec<Scope>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// Its owner.
    pub user_id: UserId,
    /// The slug that names the owner in URLs.
    pub handle: String,
    /// What the owner may do.
    pub user_type: UserType,
    /// The apps that the owner may use.
    pub apps: Vec<String>,
    /// The generation of the owner's tokens, as of when the rest was read (ADR 17).
    pub generation: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_reads_back_from_its_name() {
        for scope in Scope::all() {
            assert_eq!(Scope::from_name(scope.as_str()), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        assert_eq!(Scope::from_name("functions"), None);
        assert_eq!(Scope::from_name("admin:write"), None);
    }

    #[test]
    fn a_scope_allows_its_own_app_alone_and_write_includes_the_rest() {
        for reach in [Reach::Read, Reach::Write, Reach::Invoke] {
            assert_eq!(Scope::FunctionsRead.allows("functions", reach), reach == Reach::Read);
            assert_eq!(Scope::FunctionsInvoke.allows("functions", reach), reach == Reach::Invoke);
            assert!(Scope::FunctionsWrite.allows("functions", reach));
            assert!(!Scope::FunctionsWrite.allows("vault", reach));
        }
    }
}
