use std::sync::Arc;

use chrono::{DateTime, Utc};
use slipway_audit::{Action, Event};
use slipway_db::{Database, PgConnection};
use slipway_kernel::{GroupId, Page, PageRequest, SharedClock, UserId};
use slipway_models::audit::AuditActor;
use slipway_models::auth::UserStatus;
use slipway_models::groups::GroupRole;

use crate::domain::{Asker, Group, GroupMember, GroupName, SeenGroup};
use crate::error::AuthError;
use crate::service::revocations::Revoked;
use crate::service::{Revocations, Sessions};
use crate::store;

/// How many groups there may be that somebody made, whoever owns them by then: to hand one on makes no room.
const MAX_MADE: i64 = 100;

/// Groups, and who belongs to them (ADR 22).
///
/// Whatever changes a group or who belongs to it locks the group first, and before it, where people's tokens may have to
/// be revoked, the admins: so changes wait for each other in one order.
#[derive(Clone)]
pub(crate) struct Groups {
    db: Database,
    revocations: Revocations,
    clock: SharedClock,
}

impl Groups {
    /// Takes what `sessions` works with.
    pub(crate) fn beside(sessions: &Sessions) -> Self {
        Self {
            db: sessions.db.clone(),
            revocations: sessions.revocations.clone(),
            clock: Arc::clone(&sessions.clock),
        }
    }

    /// Makes a group, whose first owner is who asks.
    pub(crate) async fn create(&self, name: GroupName, asker: Asker) -> Result<SeenGroup, AuthError> {
        let (id, now) = (GroupId::generate(), self.clock.now());
        let event = self.event(Action::GROUP_CREATE, id, &asker);
        self.db
            .transaction("group.insert", move |connection| {
                store::users::lock_credentials(connection, asker.user)?.ok_or(AuthError::AccountGone)?;
                if store::groups::count_made(connection, asker.user)? >= MAX_MADE {
                    return Err(AuthError::TooManyGroups(MAX_MADE));
                }
                let group = store::groups::insert(connection, id, &name, asker.user, now)?;
                store::group_members::insert(connection, id, asker.user, GroupRole::Owner, now)?;
                slipway_audit::record(connection, event)?;
                SeenGroup::show(group, Some(GroupRole::Owner), asker.is_manager)
            })
            .await
    }

    /// Lists the groups that somebody belongs to, or all for one who manages people; the newest first.
    pub(crate) async fn list(&self, asker: Asker, page: PageRequest) -> Result<Page<SeenGroup>, AuthError> {
        let is_manager = asker.is_manager;
        let rows = self
            .db
            .run("group.list", move |connection| {
                let list = if is_manager { store::groups::list } else { store::groups::list_of_user };
                let rows = list(connection, asker.user, &page)?.into_iter();
                rows.map(|(group, role)| SeenGroup::show(group, role, is_manager)).collect()
            })
            .await?;
        Ok(Page::from_rows(rows, &page, |seen: &SeenGroup| seen.group.id.as_uuid()))
    }

    /// Finds a group that somebody may see.
    pub(crate) async fn find(&self, id: GroupId, asker: Asker) -> Result<SeenGroup, AuthError> {
        self.db.run("group.find", move |connection| find(connection, id, &asker)).await
    }

    /// Calls a group something else.
    pub(crate) async fn rename(
        &self,
        id: GroupId,
        name: GroupName,
        asker: Asker,
    ) -> Result<SeenGroup, AuthError> {
        let event = self.event(Action::GROUP_CHANGE, id, &asker);
        self.db
            .transaction("group.update_name", move |connection| {
                let seen = lock(connection, id, &asker)?.owned()?;
                if seen.group.name == name.as_str() {
                    return Ok(seen);
                }
                store::groups::update_name(connection, id, &name)?;
                slipway_audit::record(connection, event)?;
                let group = Group { name: name.as_str().to_owned(), ..seen.group };
                SeenGroup::show(group, seen.role, asker.is_manager)
            })
            .await
    }

    /// Deletes a group. Who belonged to it may use what is left to them.
    pub(crate) async fn delete(&self, id: GroupId, asker: Asker) -> Result<(), AuthError> {
        let (event, now) = (self.event(Action::GROUP_DELETE, id, &asker), self.clock.now());
        let revoked = self
            .db
            .transaction("group.delete", move |connection| {
                let seen = lock(connection, id, &asker)?.staffed()?;
                let granted = match seen.group.apps {
                    Some(_) => store::group_members::list_granted(connection, id)?,
                    None => Vec::new(),
                };
                store::groups::delete(connection, id)?;
                slipway_audit::record(connection, event.with("name", seen.group.name))?;
                Ok::<_, AuthError>(Revocations::revoke_access_of_users(connection, &granted, now)?)
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(())
    }

    /// Lists who belongs to a group.
    pub(crate) async fn list_members(
        &self,
        id: GroupId,
        asker: Asker,
        page: PageRequest,
    ) -> Result<Page<GroupMember>, AuthError> {
        let rows = self
            .db
            .run("group_member.list", move |connection| {
                find(connection, id, &asker)?;
                store::group_members::list(connection, id, &page).map_err(AuthError::from)
            })
            .await?;
        Ok(Page::from_rows(rows, &page, |member| member.person.id.as_uuid()))
    }

    /// Takes an active person into a group, or changes what they are in it.
    pub(crate) async fn put_member(
        &self,
        id: GroupId,
        user: UserId,
        role: GroupRole,
        asker: Asker,
    ) -> Result<GroupMember, AuthError> {
        let (event, now) = (self.event(Action::GROUP_MEMBER_PUT, id, &asker), self.clock.now());
        let event = event.with("user_id", user.to_string()).with("role", role.as_str());
        let (member, revoked) = self
            .db
            .transaction("group_member.put", move |connection| {
                let seen = lock(connection, id, &asker)?.staffed()?;
                let old = store::group_members::find_role(connection, id, user)?;
                let mut revoked = Revoked::default();
                if old != Some(role) {
                    admit(connection, user, old)?;
                    keep_an_owner(connection, id, user, old, Some(role))?;
                    store::group_members::insert(connection, id, user, role, now)?;
                    slipway_audit::record(connection, event)?;
                    if old.is_none() {
                        revoked = revoke_if_granted(connection, &seen, user, now)?;
                    }
                }
                let member = store::group_members::find(connection, id, user)?;
                Ok::<_, AuthError>((member.ok_or(AuthError::UserNotFound)?, revoked))
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(member)
    }

    /// Takes somebody out of a group. Whoever belongs to it may leave.
    pub(crate) async fn remove_member(
        &self,
        id: GroupId,
        user: UserId,
        asker: Asker,
    ) -> Result<(), AuthError> {
        let (event, now) = (self.event(Action::GROUP_MEMBER_REMOVE, id, &asker), self.clock.now());
        let event = event.with("user_id", user.to_string());
        let revoked = self
            .db
            .transaction("group_member.remove", move |connection| {
                let seen = lock(connection, id, &asker)?;
                let seen = if user == asker.user { seen.left()? } else { seen.staffed()? };
                let old = store::group_members::find_role(connection, id, user)?;
                keep_an_owner(connection, id, user, old, None)?;
                old.ok_or(AuthError::GroupMemberNotFound)?;
                store::group_members::delete(connection, id, user)?;
                slipway_audit::record(connection, event)?;
                revoke_if_granted(connection, &seen, user, now)
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(())
    }

    fn event(&self, action: Action, group: GroupId, asker: &Asker) -> Event {
        let event = Event::new(action, AuditActor::User { id: asker.user }, self.clock.now());
        event.from(&asker.origin).on("group", &group)
    }
}

/// Finds a group that `asker` may see.
fn find(connection: &mut PgConnection, id: GroupId, asker: &Asker) -> Result<SeenGroup, AuthError> {
    let group = store::groups::find(connection, id)?.ok_or(AuthError::GroupNotFound)?;
    let role = store::group_members::find_role(connection, id, asker.user)?;
    SeenGroup::show(group, role, asker.is_manager)
}

/// Finds a group that `asker` may see, and keeps others from changing it and who belongs to it.
pub(super) fn lock(
    connection: &mut PgConnection,
    id: GroupId,
    asker: &Asker,
) -> Result<SeenGroup, AuthError> {
    if asker.is_manager {
        store::people::lock_admins(connection)?;
    }
    let group = store::groups::lock(connection, id)?.ok_or(AuthError::GroupNotFound)?;
    let role = store::group_members::find_role(connection, id, asker.user)?;
    SeenGroup::show(group, role, asker.is_manager)
}

/// Admits whom a lookup finds too: who is not active is not there. Who belongs to the group already stays whoever they are.
fn admit(connection: &mut PgConnection, user: UserId, old: Option<GroupRole>) -> Result<(), AuthError> {
    let found = store::users::hold(connection, user)?;
    let is_there = found.is_some_and(|user| old.is_some() || user.status == UserStatus::Active);
    if is_there { Ok(()) } else { Err(AuthError::UserNotFound) }
}

fn keep_an_owner(
    connection: &mut PgConnection,
    group: GroupId,
    user: UserId,
    old: Option<GroupRole>,
    new: Option<GroupRole>,
) -> Result<(), AuthError> {
    let (was, is) = (old == Some(GroupRole::Owner), new == Some(GroupRole::Owner));
    if was && !is && !store::group_members::other_owner_exists(connection, group, user)? {
        return Err(AuthError::LastOwner);
    }
    Ok(())
}

/// Revokes the tokens of somebody whom it concerns whether they belong to a group: it states apps, and they have no list
/// of their own.
fn revoke_if_granted(
    connection: &mut PgConnection,
    seen: &SeenGroup,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<Revoked, AuthError> {
    let own = store::users::find(connection, user)?.and_then(|user| user.apps);
    if seen.group.apps.is_none() || own.is_some() {
        return Ok(Revoked::default());
    }
    Ok(Revocations::revoke_access_of_user(connection, user, now)?)
}
