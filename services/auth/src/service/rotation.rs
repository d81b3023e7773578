//! What a refresh token gives. Each works once; what is said here of parallel uses holds as the session's row is locked
//! first, so that the refreshes of one family go one after another.

#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};
use slipway_db::{DbError, PgConnection};
use slipway_models::auth::UserStatus;

use crate::domain::Session;
use crate::error::AuthError;
use crate::service::grants::effective;
use crate::service::revocations::{Revocations, Revoked};
use crate::service::tokens::{Granted, KnownToken, Tokens};
use crate::store;
use crate::store::refresh_tokens::TokenDigest;

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

enum Use {
    First,
    Again,
    Stolen,
}

/// Uses a token up and inserts its successor, or ends the session that the token was stolen from.
pub(super) fn rotate(
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
    let seen = classify(connection, digest, &successor.digest, now)?;
    match seen {
        Use::First => {
            store::refresh_tokens::update_used(connection, digest, now)?;
            store::refresh_tokens::insert(connection, &successor.digest, session.id, now)?;
            store::sessions::update_used(connection, session.id, now)?;
        }
        Use::Again => {}
        Use::Stolen => {
            let revoked = Revocations::end_session(connection, session.user_id, session.id, now)?;
            return Ok(Rotation::Reused(session, revoked));
        }
    }
    let access = Tokens::next_access(now);
    store::access_tokens::insert(connection, access, &successor.digest)?;
    let apps = effective(connection, &user)?;
    let granted = Box::new(Granted { user, apps, session, refresh: successor.token, access_id: access.id });
    Ok(if matches!(seen, Use::First) { Rotation::Next(granted) } else { Rotation::Again(granted) })
}

/// Reads the token again under the lock: another request may have used it meanwhile.
fn classify(
    connection: &mut PgConnection,
    digest: &TokenDigest,
    successor: &TokenDigest,
    now: DateTime<Utc>,
) -> Result<Use, DbError> {
    let used_at = store::refresh_tokens::find(connection, digest)?.and_then(|token| token.used_at);
    let Some(used_at) = used_at else { return Ok(Use::First) };
    let next = store::refresh_tokens::find(connection, successor)?;
    let next_is_unused = next.is_some_and(|token| token.used_at.is_none());
    Ok(if now - used_at < GRACE && next_is_unused { Use::Again } else { Use::Stolen })
}
