//! Queries on the secrets of functions.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::{FunctionId, PageRequest, SecretId, UserId};
use uuid::Uuid;

use crate::domain::{Sealed, Secret, SecretName};
use crate::schema::function_secrets;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = function_secrets, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    function_id: Uuid,
    owner_id: Uuid,
    name: String,
    sealed: Vec<u8>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Lists a page of the secrets of an owner's function, newest first.
pub(crate) fn list(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
    page: &PageRequest,
) -> Result<Vec<Secret>, DbError> {
    let rows: Vec<Row> = function_secrets::table
        .filter(of(owner, function_id))
        .filter(function_secrets::id.lt(page.after().unwrap_or(Uuid::max())))
        .order(function_secrets::id.desc())
        .limit(page.fetch_limit())
        .select(Row::as_select())
        .load(connection)?;
    Ok(rows.into_iter().map(Secret::from).collect())
}

/// Lists all secrets of an owner's function, by name.
pub(crate) fn list_all(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
) -> Result<Vec<Secret>, DbError> {
    let rows: Vec<Row> = function_secrets::table
        .filter(of(owner, function_id))
        .order(function_secrets::name)
        .select(Row::as_select())
        .load(connection)?;
    Ok(rows.into_iter().map(Secret::from).collect())
}

/// Inserts a secret, or gives the one of its name another value; returns it as it is now.
pub(crate) fn insert_or_update(connection: &mut PgConnection, secret: Secret) -> Result<Secret, DbError> {
    let row = Row {
        id: secret.id.as_uuid(),
        function_id: secret.function_id.as_uuid(),
        owner_id: secret.owner.as_uuid(),
        name: secret.name,
        sealed: secret.sealed.0,
        created_at: secret.created_at,
        updated_at: secret.updated_at,
    };
    let stored: Row = diesel::insert_into(function_secrets::table)
        .values(&row)
        .on_conflict((function_secrets::function_id, function_secrets::name))
        .do_update()
        .set((function_secrets::sealed.eq(&row.sealed), function_secrets::updated_at.eq(row.updated_at)))
        .returning(Row::as_returning())
        .get_result(connection)?;
    Ok(stored.into())
}

/// Deletes a secret of an owner's function; tells whether there was one.
pub(crate) fn delete(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
    name: &SecretName,
) -> Result<bool, DbError> {
    let secret = function_secrets::table
        .filter(of(owner, function_id))
        .filter(function_secrets::name.eq(name.as_str()));
    Ok(diesel::delete(secret).execute(connection)? == 1)
}

/// Lists some secrets of all owners, by id: to seal them anew.
pub(crate) fn list_of_all_owners(
    connection: &mut PgConnection,
    after: Option<SecretId>,
    limit: i64,
) -> Result<Vec<Secret>, DbError> {
    let rows: Vec<Row> = function_secrets::table
        .filter(function_secrets::id.gt(after.map_or(Uuid::nil(), |id| id.as_uuid())))
        .order(function_secrets::id)
        .limit(limit)
        .select(Row::as_select())
        .load(connection)?;
    Ok(rows.into_iter().map(Secret::from).collect())
}

/// Puts another sealing of the same value in the place of `secret`'s, unless that was set to another meanwhile.
pub(crate) fn update_sealed(
    connection: &mut PgConnection,
    secret: &Secret,
    sealed: &[u8],
) -> Result<(), DbError> {
    let same = function_secrets::table
        .filter(of(secret.owner, secret.function_id))
        .filter(function_secrets::id.eq(secret.id.as_uuid()))
        .filter(function_secrets::sealed.eq(&secret.sealed.0));
    diesel::update(same).set(function_secrets::sealed.eq(sealed)).execute(connection)?;
    Ok(())
}

#[diesel::dsl::auto_type(no_type_alias)]
fn of(owner: UserId, function_id: FunctionId) -> _ {
    let (owner, function_id): (Uuid, Uuid) = (owner.as_uuid(), function_id.as_uuid());
    function_secrets::owner_id.eq(owner).and(function_secrets::function_id.eq(function_id))
}

impl From<Row> for Secret {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            function_id: row.function_id.into(),
            owner: row.owner_id.into(),
            name: row.name,
            sealed: Sealed(row.sealed),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
