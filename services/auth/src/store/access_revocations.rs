use std::slice;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::upsert::excluded;
use slipway_db::DbError;
use slipway_kernel::UserId;
use uuid::Uuid;

use crate::schema::access_revocations;

/// How many rows one statement inserts: it may have 65,535 values at the most.
const AT_ONCE: usize = 1_000;

/// The last raise of the generation of a user's access tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessRevocation {
    pub(crate) user_id: UserId,
    pub(crate) generation: i64,
    pub(crate) revoked_at: DateTime<Utc>,
}

/// Inserts a revocation, or puts it in the place of the user's last one.
pub(crate) fn insert(connection: &mut PgConnection, revocation: &AccessRevocation) -> Result<(), DbError> {
    insert_all(connection, slice::from_ref(revocation))
}

/// Inserts revocations of several users, each in the place of the user's last one.
pub(crate) fn insert_all(
    connection: &mut PgConnection,
    revocations: &[AccessRevocation],
) -> Result<(), DbError> {
    let to_row = |revocation: &AccessRevocation| {
        (
            access_revocations::user_id.eq(revocation.user_id.as_uuid()),
            access_revocations::generation.eq(revocation.generation),
            access_revocations::revoked_at.eq(revocation.revoked_at),
        )
    };
    for some in revocations.chunks(AT_ONCE) {
        diesel::insert_into(access_revocations::table)
            .values(some.iter().map(to_row).collect::<Vec<_>>())
            .on_conflict(access_revocations::user_id)
            .do_update()
            .set((
                access_revocations::generation.eq(excluded(access_revocations::generation)),
                access_revocations::revoked_at.eq(excluded(access_revocations::revoked_at)),
            ))
            .execute(connection)?;
    }
    Ok(())
}

/// Lists what was revoked at or after `since`.
pub(crate) fn list(
    connection: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<Vec<AccessRevocation>, DbError> {
    let rows: Vec<(Uuid, i64, DateTime<Utc>)> = access_revocations::table
        .filter(access_revocations::revoked_at.ge(since))
        .order(access_revocations::revoked_at)
        .load(connection)?;
    let to_revocation = |(user, generation, revoked_at): (Uuid, i64, DateTime<Utc>)| AccessRevocation {
        user_id: user.into(),
        generation,
        revoked_at,
    };
    Ok(rows.into_iter().map(to_revocation).collect())
}

/// Deletes revocations from before `before`, at most `limit` of them; returns how many.
pub(crate) fn delete_before(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<usize, DbError> {
    let old = diesel::alias!(access_revocations as old);
    let some = old
        .filter(old.field(access_revocations::revoked_at).lt(before))
        .select(old.field(access_revocations::user_id));
    // A row that is raised while this waits for it is looked at again, and no longer old.
    let some =
        access_revocations::user_id.eq_any(some.limit(limit)).and(access_revocations::revoked_at.lt(before));
    Ok(diesel::delete(access_revocations::table.filter(some)).execute(connection)?)
}
