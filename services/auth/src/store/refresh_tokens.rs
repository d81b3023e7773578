use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::SessionId;
use uuid::Uuid;

use crate::schema::refresh_tokens;

/// The keyed digest of a refresh token.
pub(crate) type TokenDigest = [u8; 32];

pub(crate) fn insert(
    connection: &mut PgConnection,
    digest: &TokenDigest,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::digest.eq(&digest[..]),
            refresh_tokens::session_id.eq(session.as_uuid()),
            refresh_tokens::created_at.eq(now),
        ))
        .execute(connection)?;
    Ok(())
}

/// A refresh token, as far as it is kept.
pub(crate) struct StoredToken {
    pub(crate) session_id: SessionId,
    pub(crate) used_at: Option<DateTime<Utc>>,
}

/// Finds a token, used or not.
pub(crate) fn find(
    connection: &mut PgConnection,
    digest: &TokenDigest,
) -> Result<Option<StoredToken>, DbError> {
    let row: Option<(Uuid, Option<DateTime<Utc>>)> = refresh_tokens::table
        .find(&digest[..])
        .select((refresh_tokens::session_id, refresh_tokens::used_at))
        .first(connection)
        .optional()?;
    Ok(row.map(|(session, used_at)| StoredToken { session_id: session.into(), used_at }))
}
