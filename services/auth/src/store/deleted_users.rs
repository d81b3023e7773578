//! Who was deleted, for services that keep what belongs to people.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::UserId;
use slipway_models::auth::DeletedUserBody;
use uuid::Uuid;

use crate::schema::deleted_users;

/// Notes that an account is deleted. Whoever does holds the admins' lock: positions come to light in their order.
pub(crate) fn insert(connection: &mut PgConnection, user: UserId, now: DateTime<Utc>) -> Result<(), DbError> {
    diesel::insert_into(deleted_users::table)
        .values((deleted_users::user_id.eq(user.as_uuid()), deleted_users::deleted_at.eq(now)))
        .execute(connection)?;
    Ok(())
}

/// Lists who was deleted after the position `after`, the earliest first.
pub(crate) fn list(
    connection: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Vec<DeletedUserBody>, DbError> {
    let rows: Vec<(i64, Uuid)> = deleted_users::table
        .filter(deleted_users::position.gt(after))
        .order(deleted_users::position)
        .limit(limit)
        .select((deleted_users::position, deleted_users::user_id))
        .load(connection)?;
    Ok(rows.into_iter().map(|(position, user)| DeletedUserBody { position, user_id: user.into() }).collect())
}
