//! Queries on functions.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use serde_json::Value;
use slipway_db::DbError;
use slipway_kernel::{FunctionId, PageRequest, UserId};
use uuid::Uuid;

use super::deployments::DeploymentRow;
use super::stored::{from_json, from_text, to_json, to_text};
use crate::domain::{Deployment, Function};
use crate::schema::{deployments, functions};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = functions, treat_none_as_null = true)]
pub(super) struct FunctionRow {
    id: Uuid,
    owner_id: Uuid,
    name: String,
    runtime: String,
    status: String,
    active_version: Option<i32>,
    last_version: i32,
    config: Value,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Lists functions of all owners after the function `after`, each with its owner: for what the platform does on its own.
pub(crate) fn list_ids(
    connection: &mut PgConnection,
    after: Option<FunctionId>,
    limit: i64,
) -> Result<Vec<(FunctionId, UserId)>, DbError> {
    let rows = functions::table
        .filter(functions::id.gt(after.map_or(Uuid::nil(), |id| id.as_uuid())))
        .order(functions::id)
        .limit(limit)
        .select((functions::id, functions::owner_id))
        .load::<(Uuid, Uuid)>(connection)?;
    Ok(rows.into_iter().map(|(id, owner)| (FunctionId::from(id), UserId::from(owner))).collect())
}

/// Finds an owner's function.
pub(crate) fn find(
    connection: &mut PgConnection,
    owner: UserId,
    id: FunctionId,
) -> Result<Option<Function>, DbError> {
    let row = of(owner, id).select(FunctionRow::as_select()).first(connection).optional()?;
    row.map(Function::try_from).transpose()
}

/// Finds an owner's function by its name.
pub(crate) fn find_named(
    connection: &mut PgConnection,
    owner: UserId,
    name: &str,
) -> Result<Option<Function>, DbError> {
    let row = functions::table
        .filter(functions::owner_id.eq(owner.as_uuid()).and(functions::name.eq(name)))
        .select(FunctionRow::as_select())
        .first(connection)
        .optional()?;
    row.map(Function::try_from).transpose()
}

/// Lists an owner's functions, newest first.
pub(crate) fn list(
    connection: &mut PgConnection,
    owner: UserId,
    page: &PageRequest,
) -> Result<Vec<Function>, DbError> {
    let mut query = functions::table.filter(functions::owner_id.eq(owner.as_uuid())).into_boxed();
    if let Some(after) = page.after() {
        query = query.filter(functions::id.lt(after));
    }
    let rows: Vec<FunctionRow> = query
        .order(functions::id.desc())
        .limit(page.fetch_limit())
        .select(FunctionRow::as_select())
        .load(connection)?;
    rows.into_iter().map(Function::try_from).collect()
}

/// Lists everyone's functions that keep instances ready, each with the deployment that is active.
pub(crate) fn list_kept(connection: &mut PgConnection) -> Result<Vec<(Function, Deployment)>, DbError> {
    let rows: Vec<(FunctionRow, DeploymentRow)> = functions::table
        .inner_join(deployments::table)
        .filter(deployments::status.eq("active"))
        .filter(sql::<Bool>("(functions.config ->> 'min_instances')::integer > 0"))
        .select((FunctionRow::as_select(), DeploymentRow::as_select()))
        .load(connection)?;
    rows.into_iter().map(|(function, active)| Ok((function.try_into()?, active.try_into()?))).collect()
}

/// Locks an owner's function until the transaction ends.
pub(crate) fn lock(
    connection: &mut PgConnection,
    owner: UserId,
    id: FunctionId,
) -> Result<Option<Function>, DbError> {
    let row = of(owner, id).select(FunctionRow::as_select()).for_update().first(connection).optional()?;
    row.map(Function::try_from).transpose()
}

/// Inserts `draft` unless its owner has a function of that name; locks the one that there is then.
pub(crate) fn insert_or_lock(connection: &mut PgConnection, draft: &Function) -> Result<Function, DbError> {
    diesel::insert_into(functions::table)
        .values(FunctionRow::try_from(draft)?)
        .on_conflict((functions::owner_id, functions::name))
        .do_nothing()
        .execute(connection)?;
    functions::table
        .filter(functions::owner_id.eq(draft.owner.as_uuid()).and(functions::name.eq(&draft.name)))
        .select(FunctionRow::as_select())
        .for_update()
        .first(connection)
        .map_err(DbError::from)
        .and_then(Function::try_from)
}

/// Writes a function that is locked.
pub(crate) fn update(connection: &mut PgConnection, function: &Function) -> Result<(), DbError> {
    let row = FunctionRow::try_from(function)?;
    diesel::update(of(function.owner, function.id)).set(row).execute(connection)?;
    Ok(())
}

/// Deletes an owner's function, with its deployments; tells whether there was one.
pub(crate) fn delete(connection: &mut PgConnection, owner: UserId, id: FunctionId) -> Result<bool, DbError> {
    Ok(diesel::delete(of(owner, id)).execute(connection)? == 1)
}

#[diesel::dsl::auto_type(no_type_alias)]
fn of(owner: UserId, id: FunctionId) -> _ {
    let (owner, id): (Uuid, Uuid) = (owner.as_uuid(), id.as_uuid());
    functions::table.filter(functions::id.eq(id).and(functions::owner_id.eq(owner)))
}

impl TryFrom<FunctionRow> for Function {
    type Error = DbError;

    fn try_from(row: FunctionRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id.into(),
            owner: row.owner_id.into(),
            name: row.name,
            runtime: from_text(row.runtime)?,
            status: from_text(row.status)?,
            active_version: row.active_version,
            last_version: row.last_version,
            config: from_json(row.config)?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl TryFrom<&Function> for FunctionRow {
    type Error = DbError;

    fn try_from(function: &Function) -> Result<Self, DbError> {
        Ok(Self {
            id: function.id.as_uuid(),
            owner_id: function.owner.as_uuid(),
            name: function.name.clone(),
            runtime: to_text(&function.runtime)?,
            status: to_text(&function.status)?,
            active_version: function.active_version,
            last_version: function.last_version,
            config: to_json(&function.config)?,
            created_at: function.created_at,
            updated_at: function.updated_at,
        })
    }
}
