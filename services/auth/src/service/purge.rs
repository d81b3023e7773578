use chrono::{DateTime, TimeDelta, Utc};
use slipway_db::{Database, DbError, PgConnection};
use slipway_kernel::SharedClock;

use crate::error::AuthError;
use crate::store;

/// How long what has ended is kept: longer than anybody asks about it.
const KEPT: TimeDelta = TimeDelta::days(1);

/// How many rows one statement deletes.
const AT_ONCE: i64 = 500;

type Deletion = fn(&mut PgConnection, DateTime<Utc>, i64) -> Result<usize, DbError>;

/// Each kind of row that ends, with the name of its deletion. The tokens of a session go with it.
const KINDS: [(&str, Deletion); 7] = [
    ("api_key.delete_ended", store::api_keys::delete_ended),
    ("idempotency.purge_expired", slipway_db::purge_expired),
    ("session.delete_ended", store::sessions::delete_ended),
    ("access_token.delete_expired", store::access_tokens::delete_expired),
    ("letter.delete_before", store::letters::delete_before),
    ("link_token.delete_expired", store::link_tokens::delete_expired),
    ("access_revocation.delete_before", store::access_revocations::delete_before),
];

/// Deletes what has ended and nobody asks about any more.
#[derive(Clone)]
pub(crate) struct Purge {
    db: Database,
    clock: SharedClock,
}

impl Purge {
    pub(crate) fn new(db: Database, clock: SharedClock) -> Self {
        Self { db, clock }
    }

    /// Deletes all there is; returns how many rows. It goes in pieces, each well within a statement's time, so that a
    /// long pause is made up for as well.
    pub(crate) async fn run(&self) -> Result<usize, AuthError> {
        let before = self.clock.now() - KEPT;
        let mut purged = 0;
        for (name, delete) in KINDS {
            loop {
                let deleted = self
                    .db
                    .run(name, move |connection| delete(connection, before, AT_ONCE).map_err(AuthError::from))
                    .await?;
                purged += deleted;
                if deleted == 0 {
                    break;
                }
            }
        }
        Ok(purged)
    }
}
