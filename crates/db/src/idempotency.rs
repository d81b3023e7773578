//! The store behind the `Idempotency-Key` header: the same key and body replays the first answer for 24 hours.
//!
//! [`begin`] claims the key before the work, [`finish`] keeps the answer, [`abandon`] frees the key after a failure
//! that a retry may mend. A claim whose process died is free again when its lease ends. Answers that carry tokens or
//! secrets must not be kept: their routes take no key.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::DbError;
use crate::schema::idempotency_keys;

const KEPT: TimeDelta = TimeDelta::hours(24);
const LEASE: TimeDelta = TimeDelta::minutes(20);
const MAX_LENGTH: usize = 255;

/// A caller's key on one route, with the digest of the body that came with it.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    caller_id: Uuid,
    route: &'static str,
    key: String,
    body_digest: [u8; 32],
}

/// Says that a key is empty, longer than 255 characters, or not printable ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Idempotency-Key must be 1 to {MAX_LENGTH} printable ASCII characters")]
pub struct InvalidKey;

impl IdempotencyKey {
    /// Checks a key. `route` names the operation, as in `function.invoke`; `body` is all that tells two requests
    /// apart.
    pub fn new(caller_id: Uuid, route: &'static str, key: &str, body: &[u8]) -> Result<Self, InvalidKey> {
        if key.is_empty() || key.len() > MAX_LENGTH || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidKey);
        }
        Ok(Self { caller_id, route, key: key.to_owned(), body_digest: Sha256::digest(body).into() })
    }
}

/// An answer as it was first given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body, JSON.
    pub body: Vec<u8>,
}

/// What a key stands for at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// It is claimed for this request: do the work, then call [`finish`] or [`abandon`].
    Claimed,
    /// The work was done before: give this answer again.
    Replay(StoredAnswer),
    /// The first request is still being carried out.
    InUse,
    /// The key was used with another body.
    Reused,
}

/// Claims the key, or says what became of it.
pub fn begin(
    connection: &mut PgConnection,
    key: &IdempotencyKey,
    now: DateTime<Utc>,
) -> Result<Begin, DbError> {
    use idempotency_keys::dsl;
    let stale = dsl::expires_at.le(now).or(dsl::status.is_null().and(dsl::lease_until.le(now)));
    diesel::delete(row(key).filter(stale)).execute(connection)?;
    let claimed = diesel::insert_into(dsl::idempotency_keys)
        .values((
            dsl::caller_id.eq(key.caller_id),
            dsl::route.eq(key.route),
            dsl::key.eq(&key.key),
            dsl::body_digest.eq(&key.body_digest[..]),
            dsl::created_at.eq(now),
            dsl::lease_until.eq(now + LEASE),
            dsl::expires_at.eq(now + KEPT),
        ))
        .on_conflict_do_nothing()
        .execute(connection)?;
    if claimed == 1 {
        return Ok(Begin::Claimed);
    }
    let row = row(key)
        .select((dsl::body_digest, dsl::status, dsl::body))
        .first::<(Vec<u8>, Option<i16>, Option<Vec<u8>>)>(connection)
        .optional()?;
    Ok(match row {
        Some((digest, _, _)) if digest != key.body_digest => Begin::Reused,
        Some((_, Some(status), body)) => Begin::Replay(StoredAnswer {
            status: u16::try_from(status).unwrap_or_default(),
            body: body.unwrap_or_default(),
        }),
        // Also when the first request gave the key up between the two statements: the client may retry.
        Some((_, None, _)) | None => Begin::InUse,
    })
}

/// Keeps the answer of a claimed key.
pub fn finish(
    connection: &mut PgConnection,
    key: &IdempotencyKey,
    answer: &StoredAnswer,
) -> Result<(), DbError> {
    use idempotency_keys::dsl;
    diesel::update(row(key))
        .set((dsl::status.eq(i16::try_from(answer.status).unwrap_or(i16::MAX)), dsl::body.eq(&answer.body)))
        .execute(connection)?;
    Ok(())
}

/// Frees a claimed key, so that a retry does the work.
pub fn abandon(connection: &mut PgConnection, key: &IdempotencyKey) -> Result<(), DbError> {
    diesel::delete(row(key).filter(idempotency_keys::status.is_null())).execute(connection)?;
    Ok(())
}

/// Deletes keys past their 24 hours, the oldest `limit` of them and those that are over as of the same moment; returns
/// how many.
pub fn purge_expired(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<usize, DbError> {
    let expired = idempotency_keys::table.filter(idempotency_keys::expires_at.le(now));
    let last: Option<DateTime<Utc>> = expired
        .order(idempotency_keys::expires_at)
        .offset(limit - 1)
        .select(idempotency_keys::expires_at)
        .first(connection)
        .optional()?;
    let some = idempotency_keys::table.filter(idempotency_keys::expires_at.le(last.unwrap_or(now)));
    Ok(diesel::delete(some).execute(connection)?)
}

type Row<'a> = diesel::dsl::Find<idempotency_keys::table, (Uuid, &'a str, &'a str)>;

fn row(key: &IdempotencyKey) -> Row<'_> {
    idempotency_keys::table.find((key.caller_id, key.route, key.key.as_str()))
}
