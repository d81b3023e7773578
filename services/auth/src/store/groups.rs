use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::{GroupId, PageRequest, UserId};
use slipway_models::groups::GroupRole;
use uuid::Uuid;

use super::apps::from_names;
use crate::domain::{Group, GroupName, StatedApps, app_names};
use crate::schema::{group_members, groups};

#[derive(Queryable, Selectable)]
#[diesel(table_name = groups, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    name: String,
    apps: Option<Vec<String>>,
    created_at: DateTime<Utc>,
}

impl From<Row> for Group {
    fn from(row: Row) -> Self {
        let Row { id, name, apps, created_at } = row;
        Self { id: id.into(), name, apps: apps.as_deref().map(from_names), created_at }
    }
}

pub(crate) fn insert(
    connection: &mut PgConnection,
    id: GroupId,
    name: &GroupName,
    made_by: UserId,
    now: DateTime<Utc>,
) -> Result<Group, DbError> {
    let row: Row = diesel::insert_into(groups::table)
        .values((
            groups::id.eq(id.as_uuid()),
            groups::name.eq(name.as_str()),
            groups::created_at.eq(now),
            groups::made_by.eq(made_by.as_uuid()),
        ))
        .returning(Row::as_returning())
        .get_result(connection)?;
    Ok(row.into())
}

/// Counts the groups that are there of those that `user` made, whoever owns them now.
pub(crate) fn count_made(connection: &mut PgConnection, user: UserId) -> Result<i64, DbError> {
    Ok(groups::table.filter(groups::made_by.eq(user.as_uuid())).count().get_result(connection)?)
}

pub(crate) fn find(connection: &mut PgConnection, id: GroupId) -> Result<Option<Group>, DbError> {
    let row = groups::table.find(id.as_uuid()).select(Row::as_select()).first(connection).optional()?;
    Ok(row.map(Group::from))
}

/// Finds a group and keeps others from changing it, and who belongs to it, until the transaction ends.
pub(crate) fn lock(connection: &mut PgConnection, id: GroupId) -> Result<Option<Group>, DbError> {
    let query = groups::table.find(id.as_uuid()).select(Row::as_select()).for_update();
    Ok(query.first(connection).optional()?.map(Group::from))
}

/// Lists the groups that `user` belongs to, with what they are in each; the newest first.
pub(crate) fn list_of_user(
    connection: &mut PgConnection,
    user: UserId,
    page: &PageRequest,
) -> Result<Vec<(Group, Option<GroupRole>)>, DbError> {
    let mut query = group_members::table
        .inner_join(groups::table)
        .filter(group_members::user_id.eq(user.as_uuid()))
        .select((Row::as_select(), group_members::role))
        .order(group_members::group_id.desc())
        .into_boxed();
    if let Some(after) = page.after() {
        query = query.filter(group_members::group_id.lt(after));
    }
    let rows: Vec<(Row, String)> = query.limit(page.fetch_limit()).load(connection)?;
    Ok(rows.into_iter().map(|(row, role)| (row.into(), GroupRole::from_name(&role))).collect())
}

/// Lists all groups, with what `user` is in each; the newest first.
pub(crate) fn list(
    connection: &mut PgConnection,
    user: UserId,
    page: &PageRequest,
) -> Result<Vec<(Group, Option<GroupRole>)>, DbError> {
    let own = group_members::group_id.eq(groups::id).and(group_members::user_id.eq(user.as_uuid()));
    let mut query = groups::table
        .left_join(group_members::table.on(own))
        .select((Row::as_select(), group_members::role.nullable()))
        .order(groups::id.desc())
        .into_boxed();
    if let Some(after) = page.after() {
        query = query.filter(groups::id.lt(after));
    }
    let rows: Vec<(Row, Option<String>)> = query.limit(page.fetch_limit()).load(connection)?;
    let role = |role: Option<String>| role.as_deref().and_then(GroupRole::from_name);
    Ok(rows.into_iter().map(|(row, name)| (row.into(), role(name))).collect())
}

pub(crate) fn update_name(
    connection: &mut PgConnection,
    id: GroupId,
    name: &GroupName,
) -> Result<(), DbError> {
    diesel::update(groups::table.find(id.as_uuid()))
        .set(groups::name.eq(name.as_str()))
        .execute(connection)?;
    Ok(())
}

pub(crate) fn update_apps(
    connection: &mut PgConnection,
    id: GroupId,
    apps: &StatedApps,
) -> Result<(), DbError> {
    diesel::update(groups::table.find(id.as_uuid()))
        .set(groups::apps.eq(app_names(apps)))
        .execute(connection)?;
    Ok(())
}

/// Deletes a group. Who belonged to it does no more.
pub(crate) fn delete(connection: &mut PgConnection, id: GroupId) -> Result<(), DbError> {
    diesel::delete(groups::table.find(id.as_uuid())).execute(connection)?;
    Ok(())
}
