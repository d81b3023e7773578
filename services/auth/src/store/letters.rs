use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::LetterId;
use uuid::Uuid;

use crate::schema::letters;

/// A letter whose turn it is.
#[derive(Debug, Clone)]
pub(crate) struct WaitingLetter {
    pub(crate) id: LetterId,
    pub(crate) sealed: Vec<u8>,
    /// How often it was tried, this time included.
    pub(crate) attempts: i32,
    pub(crate) created_at: DateTime<Utc>,
}

pub(crate) fn insert(
    connection: &mut PgConnection,
    id: LetterId,
    sealed: &[u8],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::insert_into(letters::table)
        .values((
            letters::id.eq(id.as_uuid()),
            letters::sealed.eq(sealed),
            letters::created_at.eq(now),
            letters::next_attempt_at.eq(now),
        ))
        .execute(connection)?;
    Ok(())
}

/// Claims letters whose turn it is, at most `limit` of them: others pass them over until `until`.
pub(crate) fn lock_due(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<WaitingLetter>, DbError> {
    let due = letters::table
        .filter(letters::next_attempt_at.le(now))
        .order(letters::next_attempt_at)
        .limit(limit)
        .select(letters::id)
        .for_update()
        .skip_locked()
        .load::<Uuid>(connection)?;
    let rows: Vec<(Uuid, Vec<u8>, i32, DateTime<Utc>)> =
        diesel::update(letters::table.filter(letters::id.eq_any(due)))
            .set((letters::attempts.eq(letters::attempts + 1), letters::next_attempt_at.eq(until)))
            .returning((letters::id, letters::sealed, letters::attempts, letters::created_at))
            .get_results(connection)?;
    let to_waiting = |(id, sealed, attempts, created_at): (Uuid, _, _, _)| WaitingLetter {
        id: id.into(),
        sealed,
        attempts,
        created_at,
    };
    Ok(rows.into_iter().map(to_waiting).collect())
}

/// Has a letter tried again at a time.
pub(crate) fn update_next_attempt(
    connection: &mut PgConnection,
    id: LetterId,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(letters::table.find(id.as_uuid()))
        .set(letters::next_attempt_at.eq(at))
        .execute(connection)?;
    Ok(())
}

/// Deletes letters from before `before`, at most `limit` of them; returns how many.
pub(crate) fn delete_before(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<usize, DbError> {
    let old = diesel::alias!(letters as old);
    let some = old.filter(old.field(letters::created_at).lt(before)).select(old.field(letters::id));
    let some = letters::id.eq_any(some.limit(limit));
    Ok(diesel::delete(letters::table.filter(some)).execute(connection)?)
}

pub(crate) fn delete(connection: &mut PgConnection, id: LetterId) -> Result<(), DbError> {
    diesel::delete(letters::table.find(id.as_uuid())).execute(connection)?;
    Ok(())
}
