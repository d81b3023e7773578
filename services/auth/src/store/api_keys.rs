use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::{ApiKeyId, PageRequest, UserId};
use slipway_models::api_keys::Scope;
use slipway_models::auth::UserStatus;
use uuid::Uuid;

use super::users::{self as accounts, Credentials};
use crate::domain::{ApiKey, ApiKeyDigest, User};
use crate::schema::{api_keys, users};

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_keys, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    user_id: Uuid,
    name: String,
    prefix: String,
    scopes: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            owner: row.user_id.into(),
            name: row.name,
            prefix: row.prefix,
            // A scope that is no more allows nothing.
            scopes: row.scopes.iter().filter_map(|name| Scope::from_name(name)).collect(),
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
        }
    }
}

pub(crate) fn insert(
    connection: &mut PgConnection,
    key: &ApiKey,
    digest: &ApiKeyDigest,
) -> Result<(), DbError> {
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(key.id.as_uuid()),
            api_keys::user_id.eq(key.owner.as_uuid()),
            api_keys::name.eq(&key.name),
            api_keys::digest.eq(&digest[..]),
            api_keys::prefix.eq(&key.prefix),
            api_keys::scopes.eq(scopes),
            api_keys::created_at.eq(key.created_at),
            api_keys::expires_at.eq(key.expires_at),
        ))
        .execute(connection)?;
    Ok(())
}

/// Counts the keys of `owner` that have not ended.
pub(crate) fn count_live(
    connection: &mut PgConnection,
    owner: UserId,
    now: DateTime<Utc>,
) -> Result<i64, DbError> {
    Ok(api_keys::table
        .filter(api_keys::user_id.eq(owner.as_uuid()))
        .filter(api_keys::revoked_at.is_null())
        .filter(api_keys::expires_at.gt(now))
        .count()
        .get_result(connection)?)
}

/// Lists the keys of `owner` that were not deleted, newest first.
pub(crate) fn list(
    connection: &mut PgConnection,
    owner: UserId,
    page: &PageRequest,
) -> Result<Vec<ApiKey>, DbError> {
    let rows: Vec<Row> = api_keys::table
        .filter(api_keys::user_id.eq(owner.as_uuid()))
        .filter(api_keys::revoked_at.is_null())
        .filter(api_keys::id.lt(page.after().unwrap_or(Uuid::max())))
        .order(api_keys::id.desc())
        .limit(page.fetch_limit())
        .select(Row::as_select())
        .load(connection)?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

/// Finds a key that can be used, and whom it acts for.
pub(crate) fn find_usable(
    connection: &mut PgConnection,
    digest: &ApiKeyDigest,
    now: DateTime<Utc>,
) -> Result<Option<(ApiKey, User)>, DbError> {
    let row: Option<(Row, accounts::Row)> = api_keys::table
        .inner_join(users::table)
        .filter(api_keys::digest.eq(&digest[..]))
        .filter(api_keys::revoked_at.is_null())
        .filter(api_keys::expires_at.gt(now))
        .filter(users::status.eq(UserStatus::Active.as_str()))
        .select((Row::as_select(), accounts::Row::as_select()))
        .first(connection)
        .optional()?;
    Ok(row.map(|(key, owner)| (key.into(), Credentials::from(owner).user)))
}

/// Notes that a key was used.
pub(crate) fn update_used(
    connection: &mut PgConnection,
    id: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(api_keys::table.find(id.as_uuid()))
        .set(api_keys::last_used_at.eq(now))
        .execute(connection)?;
    Ok(())
}

/// Ends a key of `owner`; returns whether there was one that had not been deleted.
pub(crate) fn revoke(
    connection: &mut PgConnection,
    owner: UserId,
    id: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let own = api_keys::table.find(id.as_uuid()).filter(api_keys::user_id.eq(owner.as_uuid()));
    let revoked =
        diesel::update(own.filter(api_keys::revoked_at.is_null())).set(api_keys::revoked_at.eq(now));
    Ok(revoked.execute(connection)? > 0)
}

/// Deletes keys that ended before `before`, at most `limit` of them; returns how many.
pub(crate) fn delete_ended(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<usize, DbError> {
    let old = diesel::alias!(api_keys as old);
    let expired = old.field(api_keys::expires_at).lt(before);
    let revoked = old.field(api_keys::revoked_at).lt(before).assume_not_null();
    let some = old.filter(expired.or(revoked)).select(old.field(api_keys::id)).limit(limit);
    Ok(diesel::delete(api_keys::table.filter(api_keys::id.eq_any(some))).execute(connection)?)
}
