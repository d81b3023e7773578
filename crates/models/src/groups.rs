//! Groups of people, and which apps people and groups are granted (ADR 22).

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use slipway_kernel::GroupId;
use utoipa::ToSchema;

use crate::people::PersonBody;

/// A part of the platform that people are granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum App {
    /// Functions, their runs and deployments.
    Functions,
    /// The vault.
    Vault,
    /// Documents.
    Documents,
    /// Tasks.
    Tasks,
    /// Personal workspaces.
    Workspace,
}

impl App {
    /// Every app.
    pub const ALL: [Self; 5] = [Self::Functions, Self::Vault, Self::Documents, Self::Tasks, Self::Workspace];

    /// Returns the name as it goes over the wire, into tokens and into the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Functions => "functions",
            Self::Vault => "vault",
            Self::Documents => "documents",
            Self::Tasks => "tasks",
            Self::Workspace => "workspace",
        }
    }

    /// Reads a name as [`App::as_str`] writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|app| app.as_str() == name)
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What somebody is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupRole {
    /// Names the group and says who belongs to it.
    Owner,
    /// Belongs to it.
    Member,
}

impl GroupRole {
    /// Returns the name as it goes over the wire and into the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
        }
    }

    /// Reads a name as [`GroupRole::as_str`] writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Owner, Self::Member].into_iter().find(|role| role.as_str() == name)
    }
}

/// `POST /groups`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateGroupRequest {
    /// What it is called: 1 to 100 characters on one line. Others may be called the same.
    #[schema(example = "Research")]
    pub name: String,
}

/// `PATCH /groups/{id}`: what is left out stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeGroupRequest {
    /// What it is called from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A group, as those see it who belong to it and those who manage people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupBody {
    /// The group's id.
    #[schema(value_type = String, format = Uuid)]
    pub id: GroupId,
    /// What it is called.
    pub name: String,
    /// What the caller is in it; null for one who manages people and does not belong to it.
    pub role: Option<GroupRole>,
    /// The apps that it states for those who belong to it; null where it states none.
    pub apps: Option<Vec<App>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Somebody who belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupMemberBody {
    /// Who it is.
    pub user: PersonBody,
    /// What they are in the group.
    pub role: GroupRole,
    /// Since when they belong to it.
    pub added_at: DateTime<Utc>,
}

/// `PUT /groups/{id}/members/{user_id}`
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutGroupMemberRequest {
    /// What they are in the group from now on.
    pub role: GroupRole,
}

/// `PUT /groups/{id}/apps` and `PUT /admin/users/{id}/apps`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAppsRequest {
    /// Exactly these, and none where the list is empty; null states nothing.
    #[serde(deserialize_with = "required")]
    #[schema(required = true, example = json!(["functions", "vault"]))]
    pub apps: Option<Vec<App>>,
}

/// The apps that a group states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupAppsBody {
    /// What those may use who belong to it; null where it states nothing.
    pub apps: Option<Vec<App>>,
}

/// The apps that are stated for a person, and what comes of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserAppsBody {
    /// What is stated for the person alone; null where nothing is.
    pub apps: Option<Vec<App>>,
    /// What the person may use: their own list; without one, that of all their groups that state any; else all.
    pub effective: Vec<App>,
}

/// A field that may be null, and may not be left out.
fn required<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Vec<App>>, D::Error> {
    Option::deserialize(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for app in App::ALL {
            assert_eq!(App::from_name(app.as_str()), Some(app));
            assert_eq!(serde_json::to_value(app).unwrap(), app.as_str());
        }
        assert_eq!(App::from_name("Vault"), None);
        for role in [GroupRole::Owner, GroupRole::Member] {
            assert_eq!(GroupRole::from_name(role.as_str()), Some(role));
        }
    }

    #[test]
    fn apps_are_taken_back_by_null_and_not_by_silence() {
        let read = |text| serde_json::from_str::<PutAppsRequest>(text).map(|request| request.apps);
        assert_eq!(read(r#"{"apps":null}"#).unwrap(), None);
        assert_eq!(read(r#"{"apps":[]}"#).unwrap(), Some(vec![]));
        assert!(read("{}").is_err());
    }
}
