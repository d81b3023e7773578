use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::UserId;
use uuid::Uuid;

use crate::domain::LinkPurpose;
use crate::schema::link_tokens;

/// HMAC-SHA-256 of a token.
pub(crate) type LinkDigest = [u8; 32];

/// Inserts the token of a link, in the place of an older one for the same.
pub(crate) fn insert(
    connection: &mut PgConnection,
    user: UserId,
    purpose: LinkPurpose,
    digest: &LinkDigest,
    expires_at: DateTime<Utc>,
) -> Result<(), DbError> {
    let values = (
        link_tokens::user_id.eq(user.as_uuid()),
        link_tokens::purpose.eq(purpose.as_str()),
        link_tokens::digest.eq(&digest[..]),
        link_tokens::expires_at.eq(expires_at),
    );
    diesel::insert_into(link_tokens::table)
        .values(values)
        .on_conflict((link_tokens::user_id, link_tokens::purpose))
        .do_update()
        .set(values)
        .execute(connection)?;
    Ok(())
}

/// Finds whose link this is, where it still works.
pub(crate) fn find(
    connection: &mut PgConnection,
    purpose: LinkPurpose,
    digest: &LinkDigest,
    now: DateTime<Utc>,
) -> Result<Option<UserId>, DbError> {
    let user: Option<Uuid> = link_tokens::table
        .filter(link_tokens::digest.eq(&digest[..]))
        .filter(link_tokens::purpose.eq(purpose.as_str()))
        .filter(link_tokens::expires_at.gt(now))
        .select(link_tokens::user_id)
        .first(connection)
        .optional()?;
    Ok(user.map(UserId::from))
}

/// Deletes a token that works, and returns whose it was: of several at once one gets it.
pub(crate) fn delete(
    connection: &mut PgConnection,
    purpose: LinkPurpose,
    digest: &LinkDigest,
    now: DateTime<Utc>,
) -> Result<Option<UserId>, DbError> {
    let works = link_tokens::table
        .filter(link_tokens::digest.eq(&digest[..]))
        .filter(link_tokens::purpose.eq(purpose.as_str()))
        .filter(link_tokens::expires_at.gt(now));
    let user: Option<Uuid> =
        diesel::delete(works).returning(link_tokens::user_id).get_result(connection).optional()?;
    Ok(user.map(UserId::from))
}

/// Deletes the token of a user's link, where there is one.
pub(crate) fn delete_of_user(
    connection: &mut PgConnection,
    user: UserId,
    purpose: LinkPurpose,
) -> Result<(), DbError> {
    diesel::delete(link_tokens::table.find((user.as_uuid(), purpose.as_str()))).execute(connection)?;
    Ok(())
}

/// Deletes tokens that expired before `before`, at most `limit` of them; returns how many.
pub(crate) fn delete_expired(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<usize, DbError> {
    let old = diesel::alias!(link_tokens as old);
    let some = old.filter(old.field(link_tokens::expires_at).lt(before));
    let some = some.select(old.field(link_tokens::digest)).limit(limit);
    Ok(diesel::delete(link_tokens::table.filter(link_tokens::digest.eq_any(some))).execute(connection)?)
}
