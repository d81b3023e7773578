use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::{GroupId, PageRequest, UserId};
use slipway_models::groups::GroupRole;
use slipway_models::people::PersonBody;
use uuid::Uuid;

use crate::domain::GroupMember;
use crate::schema::{group_members, users};

type Row = (Uuid, String, Option<String>, String, DateTime<Utc>);

/// Those who belong to a group.
#[diesel::dsl::auto_type(no_type_alias)]
fn of(group: GroupId) -> _ {
    let group: Uuid = group.as_uuid();
    group_members::table.inner_join(users::table).filter(group_members::group_id.eq(group)).select((
        users::id,
        users::handle,
        users::full_name,
        group_members::role,
        group_members::added_at,
    ))
}

/// The table's checks admit no other roles; one that came all the same gets the least.
fn read_role(name: &str) -> GroupRole {
    GroupRole::from_name(name).unwrap_or(GroupRole::Member)
}

fn to_member((id, handle, full_name, role, added_at): Row) -> GroupMember {
    GroupMember { person: PersonBody { id: id.into(), handle, full_name }, role: read_role(&role), added_at }
}

/// Finds what somebody is in a group.
pub(crate) fn find_role(
    connection: &mut PgConnection,
    group: GroupId,
    user: UserId,
) -> Result<Option<GroupRole>, DbError> {
    let role: Option<String> = group_members::table
        .find((group.as_uuid(), user.as_uuid()))
        .select(group_members::role)
        .first(connection)
        .optional()?;
    Ok(role.map(|role| read_role(&role)))
}

/// Finds somebody who belongs to a group.
pub(crate) fn find(
    connection: &mut PgConnection,
    group: GroupId,
    user: UserId,
) -> Result<Option<GroupMember>, DbError> {
    let row: Option<Row> =
        of(group).filter(group_members::user_id.eq(user.as_uuid())).first(connection).optional()?;
    Ok(row.map(to_member))
}

/// Lists who belongs to a group, by id.
pub(crate) fn list(
    connection: &mut PgConnection,
    group: GroupId,
    page: &PageRequest,
) -> Result<Vec<GroupMember>, DbError> {
    let mut query = of(group).order(group_members::user_id).into_boxed();
    if let Some(after) = page.after() {
        query = query.filter(group_members::user_id.gt(after));
    }
    let rows: Vec<Row> = query.limit(page.fetch_limit()).load(connection)?;
    Ok(rows.into_iter().map(to_member).collect())
}

/// Lists who may use what a group states: those who belong to it and have no list of their own.
pub(crate) fn list_granted(connection: &mut PgConnection, group: GroupId) -> Result<Vec<UserId>, DbError> {
    let ids: Vec<Uuid> = group_members::table
        .inner_join(users::table)
        .filter(group_members::group_id.eq(group.as_uuid()))
        .filter(users::apps.is_null())
        .select(users::id)
        .load(connection)?;
    Ok(ids.into_iter().map(UserId::from).collect())
}

/// Tells whether a group has an owner beside `user`.
pub(crate) fn other_owner_exists(
    connection: &mut PgConnection,
    group: GroupId,
    user: UserId,
) -> Result<bool, DbError> {
    let others = group_members::table
        .filter(group_members::group_id.eq(group.as_uuid()))
        .filter(group_members::user_id.ne(user.as_uuid()))
        .filter(group_members::role.eq(GroupRole::Owner.as_str()));
    Ok(diesel::select(diesel::dsl::exists(others)).get_result(connection)?)
}

/// Inserts somebody into a group, or changes what they are in it.
pub(crate) fn insert(
    connection: &mut PgConnection,
    group: GroupId,
    user: UserId,
    role: GroupRole,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::insert_into(group_members::table)
        .values((
            group_members::group_id.eq(group.as_uuid()),
            group_members::user_id.eq(user.as_uuid()),
            group_members::role.eq(role.as_str()),
            group_members::added_at.eq(now),
        ))
        .on_conflict((group_members::group_id, group_members::user_id))
        .do_update()
        .set(group_members::role.eq(role.as_str()))
        .execute(connection)?;
    Ok(())
}

pub(crate) fn delete(connection: &mut PgConnection, group: GroupId, user: UserId) -> Result<(), DbError> {
    diesel::delete(group_members::table.find((group.as_uuid(), user.as_uuid()))).execute(connection)?;
    Ok(())
}
