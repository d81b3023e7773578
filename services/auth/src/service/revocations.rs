//! How access tokens end before their time (ADR 17). The ways to end them take a connection: they belong into the
//! transaction of what they follow from. What they return goes to [`Revocations::announce`] once that has committed.

use std::ops::Add;

use chrono::{DateTime, TimeDelta, Utc};
use slipway_db::{Database, DbError, PgConnection};
use slipway_jwt::ACCESS_LIFETIME;
use slipway_kernel::{ApiKeyId, SessionId, SharedClock, UserId};
use slipway_models::auth::{RevokedSessionBody, RevokedUserBody};
use slipway_redis::Nudges;

use crate::error::AuthError;
use crate::service::TokenOperations;
use crate::store;
use crate::store::access_revocations::AccessRevocation;

/// The least that a transaction is given to commit, before the feed passes over its time.
const SHORTEST_DELAY: TimeDelta = TimeDelta::seconds(30);
/// How many times the database's timeout a transaction can take: it waits for a connection, then for each statement.
const WAITS: i32 = 10;

/// Ends sessions and revokes access tokens, and tells the gateways.
#[derive(Clone)]
pub(crate) struct Revocations {
    db: Database,
    operations: TokenOperations,
    /// Has the gateways ask at once. Without it they ask in their own time.
    nudges: Option<Nudges>,
    clock: SharedClock,
    /// The longest from the time that a change states to its commit.
    delay: TimeDelta,
}

/// What a transaction revoked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use = "tell the gateways by `Revocations::announce`, once it is committed"]
pub(crate) struct Revoked {
    sessions: usize,
    users: usize,
}

impl Add for Revoked {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { sessions: self.sessions + other.sessions, users: self.users + other.users }
    }
}

/// What a gateway has to refuse.
pub(crate) struct Refused {
    pub(crate) sessions: Vec<RevokedSessionBody>,
    pub(crate) users: Vec<RevokedUserBody>,
    /// What the next request starts from.
    pub(crate) next: DateTime<Utc>,
}

impl Revocations {
    pub(crate) fn new(
        db: Database,
        operations: TokenOperations,
        nudges: Option<Nudges>,
        clock: SharedClock,
    ) -> Self {
        let wait = TimeDelta::from_std(db.timeout()).unwrap_or(SHORTEST_DELAY);
        let delay = SHORTEST_DELAY.max(wait * WAITS);
        Self { db, operations, nudges, clock, delay }
    }

    /// Ends a session of `owner`: its refresh tokens, and its access tokens. One that has ended stays so.
    pub(crate) fn end_session(
        connection: &mut PgConnection,
        owner: UserId,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Result<Revoked, DbError> {
        let sessions = store::sessions::revoke(connection, owner, session, now)?;
        Ok(Revoked { sessions, users: 0 })
    }

    /// Ends all sessions of a user but the one that is excepted: after a change of password, a reset, a disabling.
    pub(crate) fn end_sessions_of_user(
        connection: &mut PgConnection,
        user: UserId,
        except: Option<SessionId>,
        now: DateTime<Utc>,
    ) -> Result<Revoked, DbError> {
        let sessions = store::sessions::revoke_all(connection, user, except, now)?;
        Ok(Revoked { sessions, users: 0 })
    }

    /// Ends an API key of `owner`, which counts as a session.
    pub(crate) fn end_api_key(
        connection: &mut PgConnection,
        owner: UserId,
        key: ApiKeyId,
        now: DateTime<Utc>,
    ) -> Result<Revoked, AuthError> {
        if store::api_keys::revoke(connection, owner, key, now)? {
            Ok(Revoked { sessions: 1, users: 0 })
        } else {
            Err(AuthError::ApiKeyNotFound)
        }
    }

    /// Revokes all access tokens that state what a user was before this transaction; the sessions live on, and give
    /// tokens that state what the user is after it. For a change of type or grants; and before an account is deleted,
    /// since its sessions go with it.
    pub(crate) fn revoke_access_of_user(
        connection: &mut PgConnection,
        user: UserId,
        now: DateTime<Utc>,
    ) -> Result<Revoked, DbError> {
        let Some(generation) = store::users::update_token_generation(connection, user)? else {
            return Ok(Revoked::default());
        };
        let revocation = AccessRevocation { user_id: user, generation, revoked_at: now };
        store::access_revocations::insert(connection, &revocation)?;
        Ok(Revoked { sessions: 0, users: 1 })
    }

    /// Revokes the same of several users. Their rows are locked in no order: whoever calls this holds the admins' locks.
    pub(crate) fn revoke_access_of_users(
        connection: &mut PgConnection,
        users: &[UserId],
        now: DateTime<Utc>,
    ) -> Result<Revoked, DbError> {
        let raised = store::users::update_token_generations(connection, users)?;
        let to_revocation = |(user_id, generation)| AccessRevocation { user_id, generation, revoked_at: now };
        let revocations: Vec<_> = raised.into_iter().map(to_revocation).collect();
        store::access_revocations::insert_all(connection, &revocations)?;
        Ok(Revoked { sessions: 0, users: revocations.len() })
    }

    /// Counts what was revoked and committed, and has the gateways ask for it at once where they can be told.
    pub(crate) fn announce(&self, revoked: Revoked) {
        if revoked == Revoked::default() {
            return;
        }
        self.operations.revoked(revoked.sessions + revoked.users);
        if let Some(nudges) = &self.nudges {
            nudges.send();
        }
    }

    /// Lists what was revoked since `since`; without it, all that still matters. What commits late is not missed, as
    /// the feed overlaps; and a token that was signed meanwhile is refused to its end.
    pub(crate) async fn list(&self, since: Option<DateTime<Utc>>) -> Result<Refused, AuthError> {
        let now = self.clock.now();
        let matters = ACCESS_LIFETIME + self.delay;
        let oldest = now - matters;
        let since = since.map_or(oldest, |since| since.max(oldest));
        let (sessions, users) = self
            .db
            .run("revocation.list", move |connection| {
                let sessions = store::sessions::list_revoked(connection, since)?;
                Ok::<_, AuthError>((sessions, store::access_revocations::list(connection, since)?))
            })
            .await?;
        let session = |(session_id, at)| RevokedSessionBody { session_id, expires_at: at + matters };
        let user = |AccessRevocation { user_id, generation, revoked_at }| RevokedUserBody {
            user_id,
            generation,
            expires_at: revoked_at + matters,
        };
        Ok(Refused {
            sessions: sessions.into_iter().map(session).collect(),
            users: users.into_iter().map(user).collect(),
            next: now - self.delay,
        })
    }
}
