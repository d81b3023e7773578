//! Sessions that ended before their access tokens did.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use slipway_kernel::SessionId;
use slipway_models::auth::RevokedSessionBody;

/// How often entries that no token can need any more are dropped.
const PURGE_EVERY: TimeDelta = TimeDelta::minutes(1);
/// About 60 MB when full.
const DEFAULT_CAPACITY: usize = 1_000_000;

/// The sessions whose access tokens are refused, in memory and within a bound.
///
/// Past the bound it stays safe rather than exact: it forgets the entries that end soonest, and from then on
/// refuses every token that ends no later than those. Their holders refresh and go on.
pub struct RevokedSessions {
    capacity: usize,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<SessionId, DateTime<Utc>>,
    all_until: DateTime<Utc>,
    purged_at: DateTime<Utc>,
}

impl Default for RevokedSessions {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl RevokedSessions {
    /// Makes an empty set that holds at most `capacity` sessions.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { capacity, state: RwLock::default() }
    }

    /// Adds sessions; one that is there already keeps the later end.
    pub fn revoke(&self, sessions: impl IntoIterator<Item = RevokedSessionBody>, now: DateTime<Utc>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if now - state.purged_at >= PURGE_EVERY {
            state.sessions.retain(|_, expires_at| *expires_at + TimeDelta::seconds(crate::jws::LEEWAY) > now);
            state.purged_at = now;
        }
        for session in sessions {
            if state.sessions.len() >= self.capacity {
                state.shed();
            }
            let expires_at = state.sessions.entry(session.session_id).or_insert(session.expires_at);
            *expires_at = session.expires_at.max(*expires_at);
        }
    }

    /// Tells whether a token of `session` that ends at `expires_at` is to be refused.
    pub fn is_revoked(&self, session: SessionId, expires_at: DateTime<Utc>) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        expires_at <= state.all_until || state.sessions.contains_key(&session)
    }
}

impl State {
    /// Forgets the half that ends first.
    fn shed(&mut self) {
        let mut ends: Vec<_> = self.sessions.values().copied().collect();
        let middle = ends.len() / 2;
        if middle < ends.len() {
            let (_, end, _) = ends.select_nth_unstable(middle);
            self.all_until = self.all_until.max(*end);
            self.sessions.retain(|_, expires_at| *expires_at > self.all_until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(expires_at: DateTime<Utc>) -> RevokedSessionBody {
        RevokedSessionBody { session_id: SessionId::generate(), expires_at }
    }

    #[test]
    fn a_full_set_refuses_more_rather_than_less() {
        let start = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let minute = |minutes| start + TimeDelta::minutes(minutes);
        let revoked = RevokedSessions::with_capacity(10);
        let sessions: Vec<_> = (1..=50).map(|end| ending(minute(end))).collect();

        revoked.revoke(sessions.iter().cloned(), start);

        for session in &sessions {
            assert!(revoked.is_revoked(session.session_id, session.expires_at));
        }
        assert!(revoked.state.read().unwrap().sessions.len() <= 10);
        assert!(
            !revoked.is_revoked(SessionId::generate(), minute(51)),
            "a later token of another session is good"
        );
    }

    #[test]
    fn what_no_token_can_need_is_dropped() {
        let start = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let revoked = RevokedSessions::default();
        revoked.revoke([ending(start + TimeDelta::minutes(1))], start);
        let later = start + TimeDelta::minutes(10);
        revoked.revoke([ending(later + TimeDelta::minutes(1))], later);
        assert_eq!(revoked.state.read().unwrap().sessions.len(), 1);
    }
}
