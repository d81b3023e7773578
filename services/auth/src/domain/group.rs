use std::str::FromStr;

use chrono::{DateTime, Utc};
use slipway_kernel::{GroupId, Origin, UserId};
use slipway_models::groups::{GroupBody, GroupMemberBody, GroupRole};
use slipway_models::people::PersonBody;

use super::{StatedApps, check_full_name};
use crate::error::AuthError;

/// A group of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) name: String,
    pub(crate) apps: StatedApps,
    pub(crate) created_at: DateTime<Utc>,
}

/// What a group is called: 1 to 100 characters on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupName(String);

impl GroupName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let fault = "must be 1 to 100 characters on one line";
        let name = check_full_name(text).map_err(|_| fault)?;
        if name.chars().count() <= 100 { Ok(Self(name)) } else { Err(fault) }
    }
}

/// Somebody who belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupMember {
    pub(crate) person: PersonBody,
    pub(crate) role: GroupRole,
    pub(crate) added_at: DateTime<Utc>,
}

impl From<GroupMember> for GroupMemberBody {
    fn from(member: GroupMember) -> Self {
        Self { user: member.person, role: member.role, added_at: member.added_at }
    }
}

/// Who asks for something of a group.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) user: UserId,
    /// Whether they manage people, and so every group.
    pub(crate) is_manager: bool,
    pub(crate) origin: Origin,
}

/// A group, as somebody who may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenGroup {
    pub(crate) group: Group,
    pub(crate) role: Option<GroupRole>,
    is_manager: bool,
}

impl SeenGroup {
    /// Shows a group to who belongs to it or manages people.
    ///
    /// # Errors
    /// For everyone else there is none.
    pub(crate) fn show(group: Group, role: Option<GroupRole>, is_manager: bool) -> Result<Self, AuthError> {
        if role.is_some() || is_manager {
            Ok(Self { group, role, is_manager })
        } else {
            Err(AuthError::GroupNotFound)
        }
    }

    /// Admits who may name the group.
    pub(crate) fn owned(self) -> Result<Self, AuthError> {
        if self.is_manager || self.role == Some(GroupRole::Owner) {
            Ok(self)
        } else {
            Err(AuthError::NotGroupOwner)
        }
    }

    /// Admits who may say who belongs to the group, or that there is none any more. Where it states apps, that says what
    /// people may use, and is not for owners.
    pub(crate) fn staffed(self) -> Result<Self, AuthError> {
        let seen = self.owned()?;
        seen.unless_it_grants()
    }

    /// Admits who may leave the group.
    pub(crate) fn left(self) -> Result<Self, AuthError> {
        self.unless_it_grants()
    }

    fn unless_it_grants(self) -> Result<Self, AuthError> {
        if self.is_manager || self.group.apps.is_none() { Ok(self) } else { Err(AuthError::GroupGrants) }
    }
}

impl From<SeenGroup> for GroupBody {
    fn from(SeenGroup { group, role, .. }: SeenGroup) -> Self {
        Self { id: group.id, name: group.name, role, apps: group.apps, created_at: group.created_at }
    }
}

#[cfg(test)]
mod tests {
    use slipway_models::groups::App;

    use super::*;

    fn seen(role: Option<GroupRole>, is_manager: bool, apps: StatedApps) -> Result<SeenGroup, AuthError> {
        let created_at = DateTime::UNIX_EPOCH;
        let group = Group { id: GroupId::generate(), name: "Research".to_owned(), apps, created_at };
        SeenGroup::show(group, role, is_manager)
    }

    #[test]
    fn strangers_see_no_group_members_change_none_and_owners_grant_nothing() {
        let (owner, member) = (Some(GroupRole::Owner), Some(GroupRole::Member));
        assert!(matches!(seen(None, false, None), Err(AuthError::GroupNotFound)));
        assert!(matches!(seen(member, false, None).unwrap().owned(), Err(AuthError::NotGroupOwner)));
        assert!(matches!(seen(member, false, None).unwrap().staffed(), Err(AuthError::NotGroupOwner)));
        assert!(seen(member, false, None).unwrap().left().is_ok());
        assert!(seen(owner, false, None).unwrap().staffed().is_ok());
        for apps in [vec![], vec![App::Vault]] {
            let group = |role, is_manager| seen(role, is_manager, Some(apps.clone())).unwrap();
            assert!(group(owner, false).owned().is_ok());
            assert!(matches!(group(owner, false).staffed(), Err(AuthError::GroupGrants)));
            assert!(matches!(group(member, false).left(), Err(AuthError::GroupGrants)));
            assert!(group(None, true).staffed().is_ok());
        }
    }

    #[test]
    fn a_group_is_called_something_on_one_line() {
        assert_eq!(" Research ".parse::<GroupName>().unwrap().as_str(), "Research");
        for text in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert!(text.parse::<GroupName>().is_err(), "{text:?}");
        }
    }
}
