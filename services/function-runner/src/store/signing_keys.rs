//! Queries on the keys that sign calls of functions.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::{FunctionId, PageRequest, SigningKeyId, UserId};
use uuid::Uuid;

use super::stored::{from_text, to_text};
use crate::domain::{Sealed, SigningKey};
use crate::schema::signing_keys;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = signing_keys, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    function_id: Uuid,
    owner_id: Uuid,
    name: Option<String>,
    scheme: String,
    prefix: String,
    sealed: Vec<u8>,
    created_at: DateTime<Utc>,
}

/// Lists a page of the keys of an owner's function, newest first.
pub(crate) fn list(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
    page: &PageRequest,
) -> Result<Vec<SigningKey>, DbError> {
    let rows: Vec<Row> = signing_keys::table
        .filter(of(owner, function_id))
        .filter(signing_keys::id.lt(page.after().unwrap_or(Uuid::max())))
        .order(signing_keys::id.desc())
        .limit(page.fetch_limit())
        .select(Row::as_select())
        .load(connection)?;
    rows.into_iter().map(SigningKey::try_from).collect()
}

/// Lists all keys of an owner's function.
pub(crate) fn list_all(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
) -> Result<Vec<SigningKey>, DbError> {
    let rows: Vec<Row> =
        signing_keys::table.filter(of(owner, function_id)).select(Row::as_select()).load(connection)?;
    rows.into_iter().map(SigningKey::try_from).collect()
}

/// Inserts a key.
pub(crate) fn insert(connection: &mut PgConnection, key: &SigningKey) -> Result<(), DbError> {
    let row = Row {
        id: key.id.as_uuid(),
        function_id: key.function_id.as_uuid(),
        owner_id: key.owner.as_uuid(),
        name: key.name.clone(),
        scheme: to_text(&key.scheme)?,
        prefix: key.prefix.clone(),
        sealed: key.sealed.0.clone(),
        created_at: key.created_at,
    };
    diesel::insert_into(signing_keys::table).values(row).execute(connection)?;
    Ok(())
}

/// Deletes a key of an owner's function; tells whether there was one.
pub(crate) fn delete(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
    id: SigningKeyId,
) -> Result<bool, DbError> {
    let key = signing_keys::table.filter(of(owner, function_id)).filter(signing_keys::id.eq(id.as_uuid()));
    Ok(diesel::delete(key).execute(connection)? == 1)
}

/// Lists some keys of all owners, by id: to seal them anew.
pub(crate) fn list_of_all_owners(
    connection: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<SigningKey>, DbError> {
    let rows: Vec<Row> = signing_keys::table
        .filter(signing_keys::id.gt(after.unwrap_or(Uuid::nil())))
        .order(signing_keys::id)
        .limit(limit)
        .select(Row::as_select())
        .load(connection)?;
    rows.into_iter().map(SigningKey::try_from).collect()
}

/// Puts another sealing of the same secret in the place of a key's.
pub(crate) fn update_sealed(
    connection: &mut PgConnection,
    key: &SigningKey,
    sealed: &[u8],
) -> Result<(), DbError> {
    let same = signing_keys::table
        .filter(of(key.owner, key.function_id))
        .filter(signing_keys::id.eq(key.id.as_uuid()));
    diesel::update(same).set(signing_keys::sealed.eq(sealed)).execute(connection)?;
    Ok(())
}

#[diesel::dsl::auto_type(no_type_alias)]
fn of(owner: UserId, function_id: FunctionId) -> _ {
    let (owner, function_id): (Uuid, Uuid) = (owner.as_uuid(), function_id.as_uuid());
    signing_keys::owner_id.eq(owner).and(signing_keys::function_id.eq(function_id))
}

impl TryFrom<Row> for SigningKey {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id.into(),
            function_id: row.function_id.into(),
            owner: row.owner_id.into(),
            name: row.name,
            scheme: from_text(row.scheme)?,
            prefix: row.prefix,
            sealed: Sealed(row.sealed),
            created_at: row.created_at,
        })
    }
}
