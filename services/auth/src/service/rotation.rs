//! What a refresh token gives. Each works once; what is said here of parallel uses holds as the session's row is locked
//! first, so that the refreshes of one family go one after another.

mod together;

#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};
use slipway_db::{DbError, PgConnection};
use slipway_kernel::TokenId;
use slipway_models::auth::UserStatus;

pub(crate) use self::together::Together;
use crate::domain::{RefreshToken, Session, effective_apps};
use crate::error::AuthError;
use crate::service::grants::effective;
use crate::service::revocations::{Revocations, Revoked};
use crate::service::tokens::{Granted, KnownToken, Tokens};
use crate::store;
use crate::store::refresh_tokens::TokenDigest;
use crate::store::rotation::{Shown, UsedUp};

/// How long a used token gives its successor again, as long as that is unused: a lost answer or a double click does
/// no harm. Any other reuse is taken for theft.
const GRACE: TimeDelta = TimeDelta::seconds(10);

/// What a refresh token gave.
pub(super) enum Rotation {
    /// The next token.
    Next(Box<Granted>),
    /// The next token, once more.
    Again(Box<Granted>),
    /// Nothing: its session is over, or it is no token.
    Expired,
    /// Nothing, and its session was ended: it was stolen.
    Reused(Session, Revoked),
}

impl Granted {
    /// Has what a used up token was good for be handed over with its successor.
    pub(super) fn next(used: UsedUp, refresh: RefreshToken, access_id: TokenId) -> Self {
        let UsedUp { user, session, apps_of_groups } = used;
        let apps = effective_apps(user.apps.clone(), apps_of_groups);
        Self { user, apps, session, refresh, access_id }
    }
}

/// Uses one token up, if it works.
fn use_up(
    connection: &mut PgConnection,
    digest: &TokenDigest,
    successor: KnownToken,
    now: DateTime<Utc>,
) -> Result<Option<Granted>, DbError> {
    let access = Tokens::next_access(now);
    let shown = Shown { digest: *digest, successor: successor.digest, access: access.id };
    let mut used = store::rotation::use_up(connection, &[shown], now, access.expires_at)?;
    Ok(used.remove(&access.id).map(|used| Granted::next(used, successor.token, access.id)))
}

/// Tells what a token gives that did not work a moment ago: its successor again, or nothing, and then the end of the
/// session that it was stolen from. In a transaction.
pub(super) fn settle(
    connection: &mut PgConnection,
    digest: &TokenDigest,
    successor: KnownToken,
    now: DateTime<Utc>,
) -> Result<Rotation, AuthError> {
    let Some(known) = store::refresh_tokens::find(connection, digest)? else { return Ok(Rotation::Expired) };
    let Some(session) = store::sessions::lock(connection, known.session_id)? else {
        return Ok(Rotation::Expired);
    };
    let user = store::users::find(connection, session.user_id)?;
    let Some(user) = user.filter(|user| user.status == UserStatus::Active && session.is_live(now)) else {
        return Ok(Rotation::Expired);
    };
    // Once more, under the lock: another request may have used it meanwhile.
    let known = store::refresh_tokens::find(connection, digest)?;
    let Some(used_at) = known.and_then(|token| token.used_at) else {
        // What was in its way has gone.
        let granted = use_up(connection, digest, successor, now)?;
        return Ok(granted.map_or(Rotation::Expired, |granted| Rotation::Next(Box::new(granted))));
    };
    let next = store::refresh_tokens::find(connection, &successor.digest)?;
    let next_is_unused = next.is_some_and(|token| token.used_at.is_none());
    if now - used_at >= GRACE || !next_is_unused {
        let revoked = Revocations::end_session(connection, session.user_id, session.id, now)?;
        return Ok(Rotation::Reused(session, revoked));
    }
    let access = Tokens::next_access(now);
    store::access_tokens::insert(connection, access, &successor.digest)?;
    let apps = effective(connection, &user)?;
    let refresh = successor.token;
    Ok(Rotation::Again(Box::new(Granted { user, apps, session, refresh, access_id: access.id })))
}
