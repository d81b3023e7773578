use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::TokenId;

use crate::schema::access_tokens;
use crate::store::refresh_tokens::TokenDigest;

/// An access token, as far as it is kept: when it works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessTokenRecord {
    pub(crate) id: TokenId,
    pub(crate) issued_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// Links an access token to the refresh token that it is handed over with, and so to the session.
pub(crate) fn insert(
    connection: &mut PgConnection,
    token: AccessTokenRecord,
    refresh: &TokenDigest,
) -> Result<(), DbError> {
    diesel::insert_into(access_tokens::table)
        .values((
            access_tokens::id.eq(token.id.as_uuid()),
            access_tokens::refresh_digest.eq(&refresh[..]),
            access_tokens::issued_at.eq(token.issued_at),
            access_tokens::expires_at.eq(token.expires_at),
        ))
        .execute(connection)?;
    Ok(())
}

/// Deletes tokens that expired before `before`, at most `limit` of them; returns how many.
pub(crate) fn delete_expired(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<usize, DbError> {
    let old = diesel::alias!(access_tokens as old);
    let some =
        old.filter(old.field(access_tokens::expires_at).lt(before)).select(old.field(access_tokens::id));
    let some = access_tokens::id.eq_any(some.limit(limit));
    Ok(diesel::delete(access_tokens::table.filter(some)).execute(connection)?)
}
