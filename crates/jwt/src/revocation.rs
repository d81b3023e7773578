//! Access tokens that ended before their time.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use chrono::{DateTime, TimeDelta, Utc};
use slipway_kernel::{ApiKeyId, SessionId, UserId};
use slipway_models::auth::{RevokedSessionBody, RevokedUserBody};

use crate::{ACCESS_LIFETIME, AccessClaims};

/// How often entries that no token can need any more are dropped.
const PURGE_EVERY: TimeDelta = TimeDelta::minutes(1);
/// About 80 MB when full.
const DEFAULT_CAPACITY: usize = 1_000_000;

/// What makes an access token refused before it expires, in memory and within a bound: that its session has ended, or
/// that it is of an older generation than its user's tokens are by now (ADR 17).
///
/// Past the bound it stays safe rather than exact: it forgets the entries that end soonest, and from then on
/// refuses every token that ends no later than those. Their holders refresh and go on.
pub struct RevokedTokens {
    capacity: usize,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<SessionId, DateTime<Utc>>,
    users: HashMap<UserId, Oldest>,
    all_until: DateTime<Utc>,
    purged_at: DateTime<Utc>,
}

/// The oldest generation that is good.
#[derive(Clone, Copy)]
struct Oldest {
    generation: i64,
    expires_at: DateTime<Utc>,
}

impl Default for RevokedTokens {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl RevokedTokens {
    /// Makes an empty set that holds at most `capacity` entries.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { capacity, state: RwLock::default() }
    }

    /// Adds sessions; one that is there already keeps the later end.
    pub fn revoke_sessions(
        &self,
        sessions: impl IntoIterator<Item = RevokedSessionBody>,
        now: DateTime<Utc>,
    ) {
        let mut state = self.purged(now);
        for session in sessions {
            state.make_room(self.capacity);
            let expires_at = state.sessions.entry(session.session_id).or_insert(session.expires_at);
            *expires_at = session.expires_at.max(*expires_at);
        }
    }

    /// Adds users; one that is there already keeps the later generation and the later end.
    pub fn revoke_users(&self, users: impl IntoIterator<Item = RevokedUserBody>, now: DateTime<Utc>) {
        let mut state = self.purged(now);
        for RevokedUserBody { user_id, generation, expires_at } in users {
            state.make_room(self.capacity);
            let oldest = state.users.entry(user_id).or_insert(Oldest { generation, expires_at });
            oldest.generation = generation.max(oldest.generation);
            oldest.expires_at = expires_at.max(oldest.expires_at);
        }
    }

    /// Tells whether a token is to be refused.
    pub fn covers(&self, claims: &AccessClaims) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.covers(claims.sid, claims.sub, claims.generation, claims.expires_at())
    }

    /// Tells whether what was known of an API key at `known_at` may hold no more. A key counts as a session, and what
    /// auth says of it as a token that was issued then.
    pub fn covers_key(&self, key: ApiKeyId, owner: UserId, generation: i64, known_at: DateTime<Utc>) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.covers(key.as_uuid().into(), owner, generation, known_at + ACCESS_LIFETIME)
    }

    fn purged(&self, now: DateTime<Utc>) -> RwLockWriteGuard<'_, State> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if now - state.purged_at >= PURGE_EVERY {
            state.retain(|expires_at| expires_at + TimeDelta::seconds(crate::jws::LEEWAY) > now);
            state.purged_at = now;
        }
        state
    }
}

impl State {
    fn covers(&self, session: SessionId, user: UserId, generation: i64, expires_at: DateTime<Utc>) -> bool {
        expires_at <= self.all_until
            || self.sessions.contains_key(&session)
            || self.users.get(&user).is_some_and(|oldest| generation < oldest.generation)
    }

    fn make_room(&mut self, capacity: usize) {
        if self.sessions.len() + self.users.len() >= capacity {
            self.shed();
        }
    }

    /// Forgets the half that ends first.
    fn shed(&mut self) {
        let users = self.users.values().map(|oldest| oldest.expires_at);
        let mut ends: Vec<_> = self.sessions.values().copied().chain(users).collect();
        let middle = ends.len() / 2;
        if middle < ends.len() {
            let (_, end, _) = ends.select_nth_unstable(middle);
            let all_until = self.all_until.max(*end);
            self.all_until = all_until;
            self.retain(|expires_at| expires_at > all_until);
        }
    }

    fn retain(&mut self, matters: impl Fn(DateTime<Utc>) -> bool) {
        self.sessions.retain(|_, expires_at| matters(*expires_at));
        self.users.retain(|_, oldest| matters(oldest.expires_at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(expires_at: DateTime<Utc>) -> RevokedSessionBody {
        RevokedSessionBody { session_id: SessionId::generate(), expires_at }
    }

    fn changed(expires_at: DateTime<Utc>) -> RevokedUserBody {
        RevokedUserBody { user_id: UserId::generate(), generation: 1, expires_at }
    }

    fn token(session: SessionId, user: UserId, expires_at: DateTime<Utc>) -> AccessClaims {
        AccessClaims::for_tests(session, user, expires_at)
    }

    fn size(revoked: &RevokedTokens) -> usize {
        let state = revoked.state.read().unwrap();
        state.sessions.len() + state.users.len()
    }

    #[test]
    fn a_full_set_refuses_more_rather_than_less() {
        let start = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let minute = |minutes| start + TimeDelta::minutes(minutes);
        let revoked = RevokedTokens::with_capacity(10);
        let sessions: Vec<_> = (1..=50).map(|end| ending(minute(end))).collect();
        let users: Vec<_> = (1..=50).map(|end| changed(minute(end))).collect();

        for (session, user) in sessions.iter().zip(&users) {
            revoked.revoke_sessions([session.clone()], start);
            revoked.revoke_users([*user], start);
        }

        for (session, user) in sessions.iter().zip(&users) {
            assert!(revoked.covers(&token(session.session_id, UserId::generate(), session.expires_at)));
            assert!(revoked.covers(&token(SessionId::generate(), user.user_id, user.expires_at)));
        }
        assert!(size(&revoked) <= 10);
        let later = token(SessionId::generate(), UserId::generate(), minute(51));
        assert!(!revoked.covers(&later), "a later token of another session is good");
    }

    #[test]
    fn what_was_known_of_a_key_holds_until_the_key_or_its_owner_is_in_the_news() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let (key, owner) = (ApiKeyId::generate(), UserId::generate());
        let revoked = RevokedTokens::default();
        assert!(!revoked.covers_key(key, owner, 0, now));

        let expires_at = now + ACCESS_LIFETIME;
        revoked.revoke_users([RevokedUserBody { user_id: owner, generation: 1, expires_at }], now);
        assert!(revoked.covers_key(key, owner, 0, now) && !revoked.covers_key(key, owner, 1, now));

        let session_id = key.as_uuid().into();
        revoked.revoke_sessions([RevokedSessionBody { session_id, expires_at }], now);
        assert!(revoked.covers_key(key, owner, 1, now));
        assert!(!revoked.covers_key(ApiKeyId::generate(), owner, 1, now));
    }

    #[test]
    fn what_no_token_can_need_is_dropped() {
        let start = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let revoked = RevokedTokens::default();
        revoked.revoke_sessions([ending(start + TimeDelta::minutes(1))], start);
        revoked.revoke_users([changed(start + TimeDelta::minutes(1))], start);
        let later = start + TimeDelta::minutes(10);
        revoked.revoke_sessions([ending(later + TimeDelta::minutes(1))], later);
        assert_eq!(size(&revoked), 1);
    }
}
