use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::{PageRequest, SessionId, UserId};
use uuid::Uuid;

use crate::domain::Session;
use crate::schema::{api_keys, sessions};

#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions, check_for_backend(diesel::pg::Pg))]
pub(super) struct Row {
    id: Uuid,
    user_id: Uuid,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

impl From<Row> for Session {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            user_id: row.user_id.into(),
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            // A session from before this was kept.
            last_used_at: row.last_used_at.unwrap_or(row.created_at),
        }
    }
}

/// A session with its details, which are sealed.
pub(crate) struct StoredSession {
    pub(crate) session: Session,
    pub(crate) sealed_details: Option<Vec<u8>>,
}

pub(crate) fn insert(
    connection: &mut PgConnection,
    session: &Session,
    sealed_details: &[u8],
) -> Result<(), DbError> {
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(session.id.as_uuid()),
            sessions::user_id.eq(session.user_id.as_uuid()),
            sessions::created_at.eq(session.created_at),
            sessions::expires_at.eq(session.expires_at),
            sessions::last_used_at.eq(session.last_used_at),
            sessions::sealed_details.eq(sealed_details),
        ))
        .execute(connection)?;
    Ok(())
}

/// Notes in which network a session began.
pub(crate) fn update_network(
    connection: &mut PgConnection,
    id: SessionId,
    digest: &[u8; 32],
) -> Result<(), DbError> {
    diesel::update(sessions::table.find(id.as_uuid()))
        .set(sessions::network_digest.eq(&digest[..]))
        .execute(connection)?;
    Ok(())
}

/// Tells whether a session of `owner` that is still kept, ended or not, began in a network.
pub(crate) fn network_exists(
    connection: &mut PgConnection,
    owner: UserId,
    digest: &[u8; 32],
) -> Result<bool, DbError> {
    let own = sessions::table.filter(sessions::user_id.eq(owner.as_uuid()));
    let began_there = own.filter(sessions::network_digest.eq(&digest[..]));
    Ok(diesel::select(diesel::dsl::exists(began_there)).get_result(connection)?)
}

/// Lists the sessions of `owner` that have not ended, newest first.
pub(crate) fn list_live(
    connection: &mut PgConnection,
    owner: UserId,
    now: DateTime<Utc>,
    page: &PageRequest,
) -> Result<Vec<StoredSession>, DbError> {
    let mut query = sessions::table
        .filter(sessions::user_id.eq(owner.as_uuid()))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .into_boxed();
    if let Some(after) = page.after() {
        query = query.filter(sessions::id.lt(after));
    }
    let rows: Vec<(Row, Option<Vec<u8>>)> = query
        .order(sessions::id.desc())
        .limit(page.fetch_limit())
        .select((Row::as_select(), sessions::sealed_details))
        .load(connection)?;
    let to_stored = |(row, sealed_details): (Row, _)| StoredSession { session: row.into(), sealed_details };
    Ok(rows.into_iter().map(to_stored).collect())
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

/// Ends a session of `owner`; returns how many ended. One that has ended keeps its time.
pub(crate) fn revoke(
    connection: &mut PgConnection,
    owner: UserId,
    id: SessionId,
    now: DateTime<Utc>,
) -> Result<usize, DbError> {
    let own = sessions::table.find(id.as_uuid()).filter(sessions::user_id.eq(owner.as_uuid()));
    Ok(diesel::update(own.filter(sessions::revoked_at.is_null()))
        .set(sessions::revoked_at.eq(now))
        .execute(connection)?)
}

/// Ends all sessions of `owner` but one; returns how many ended. Those that are over count too: an access token can
/// outlive its session by an hour.
pub(crate) fn revoke_all(
    connection: &mut PgConnection,
    owner: UserId,
    except: Option<SessionId>,
    now: DateTime<Utc>,
) -> Result<usize, DbError> {
    let kept = except.map_or(Uuid::nil(), |id| id.as_uuid());
    let own = sessions::table.filter(sessions::user_id.eq(owner.as_uuid())).filter(sessions::id.ne(kept));
    Ok(diesel::update(own.filter(sessions::revoked_at.is_null()))
        .set(sessions::revoked_at.eq(now))
        .execute(connection)?)
}

/// Lists the sessions that were revoked at or after `since`, and when. An API key counts as a session of its own.
pub(crate) fn list_revoked(
    connection: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<Vec<(SessionId, DateTime<Utc>)>, DbError> {
    let sessions = sessions::table
        .filter(sessions::revoked_at.ge(since))
        .select((sessions::id, sessions::revoked_at.assume_not_null()));
    let keys = api_keys::table
        .filter(api_keys::revoked_at.ge(since))
        .select((api_keys::id, api_keys::revoked_at.assume_not_null()));
    let rows: Vec<(Uuid, DateTime<Utc>)> = sessions.union_all(keys).load(connection)?;
    Ok(rows.into_iter().map(|(id, at)| (id.into(), at)).collect())
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

/// Lists sealed details of everyone's sessions, by id.
pub(crate) fn list_sealed(
    connection: &mut PgConnection,
    after: Option<SessionId>,
    limit: i64,
) -> Result<Vec<(SessionId, Vec<u8>)>, DbError> {
    let rows: Vec<(Uuid, Option<Vec<u8>>)> = sessions::table
        .filter(sessions::id.gt(after.map_or(Uuid::nil(), |id| id.as_uuid())))
        .filter(sessions::sealed_details.is_not_null())
        .order(sessions::id)
        .limit(limit)
        .select((sessions::id, sessions::sealed_details))
        .load(connection)?;
    Ok(rows.into_iter().filter_map(|(id, sealed)| Some((id.into(), sealed?))).collect())
}

/// Puts another sealing of the same in its place.
pub(crate) fn update_sealed(
    connection: &mut PgConnection,
    id: SessionId,
    sealed: &[u8],
) -> Result<(), DbError> {
    diesel::update(sessions::table.find(id.as_uuid()))
        .set(sessions::sealed_details.eq(sealed))
        .execute(connection)?;
    Ok(())
}
