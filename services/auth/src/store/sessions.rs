use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::{SessionId, UserId};
use uuid::Uuid;

use crate::domain::Session;
use crate::schema::sessions;

#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    user_id: Uuid,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<Row> for Session {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            user_id: row.user_id.into(),
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        }
    }
}

pub(crate) fn insert(connection: &mut PgConnection, session: &Session) -> Result<(), DbError> {
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(session.id.as_uuid()),
            sessions::user_id.eq(session.user_id.as_uuid()),
            sessions::created_at.eq(session.created_at),
            sessions::expires_at.eq(session.expires_at),
        ))
        .execute(connection)?;
    Ok(())
}

/// Finds a session and keeps others from changing it until the transaction ends.
pub(crate) fn lock(connection: &mut PgConnection, id: SessionId) -> Result<Option<Session>, DbError> {
    let row = sessions::table
        .find(id.as_uuid())
        .select(Row::as_select())
        .for_update()
        .first(connection)
        .optional()?;
    Ok(row.map(Session::from))
}

/// Ends a session of `owner`; tells whether it had not ended. One that has keeps its time.
pub(crate) fn revoke(
    connection: &mut PgConnection,
    owner: UserId,
    id: SessionId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let own = sessions::table.find(id.as_uuid()).filter(sessions::user_id.eq(owner.as_uuid()));
    let live = own.filter(sessions::revoked_at.is_null());
    Ok(diesel::update(live).set(sessions::revoked_at.eq(now)).execute(connection)? == 1)
}

/// Lists the sessions that were revoked at or after `since`, and when.
pub(crate) fn list_revoked(
    connection: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<Vec<(SessionId, DateTime<Utc>)>, DbError> {
    let rows: Vec<(Uuid, Option<DateTime<Utc>>)> = sessions::table
        .filter(sessions::revoked_at.ge(since))
        .select((sessions::id, sessions::revoked_at))
        .order(sessions::revoked_at)
        .load(connection)?;
    Ok(rows.into_iter().filter_map(|(id, at)| Some((id.into(), at?))).collect())
}

/// Deletes sessions that ended before `before`, with their tokens, at most `limit` of them; returns how many.
pub(crate) fn delete_ended(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<usize, DbError> {
    let old = diesel::alias!(sessions as old);
    let expired = old.field(sessions::expires_at).lt(before);
    let revoked = old.field(sessions::revoked_at).lt(before).assume_not_null();
    let some = old.filter(expired.or(revoked)).select(old.field(sessions::id)).limit(limit);
    Ok(diesel::delete(sessions::table.filter(sessions::id.eq_any(some))).execute(connection)?)
}
