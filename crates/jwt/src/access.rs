//! Access tokens: RS256, an hour, what a client shows the gateway.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use slipway_kernel::{SessionId, SharedClock, TokenId, UserId};
use slipway_models::auth::UserType;

use crate::fingerprint::VerifiedTokens;
use crate::jws::{self, Lifetime};
use crate::{Jwk, Jwks, KeyError, RevokedTokens, SignedIdentities, SigningKeys, TokenError};

/// How long an access token works.
pub const ACCESS_LIFETIME: TimeDelta = TimeDelta::hours(1);

const ISSUER: &str = "slipway";
const AUDIENCE: &str = "slipway-api";
/// More than there are ways to choose some of the platform's apps.
const MOST_LISTS: usize = 1_024;

/// What an access token says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    iss: String,
    aud: String,
    /// When it expires, in seconds since 1970.
    pub exp: i64,
    iat: i64,
    nbf: i64,
    /// The token's own id.
    pub jti: TokenId,
    /// The user.
    pub sub: UserId,
    /// The session that the token belongs to.
    pub sid: SessionId,
    typ: AccessType,
    /// The user's address.
    pub email: String,
    /// The slug that names the user in URLs, for good.
    pub handle: Arc<str>,
    /// What the user may do.
    pub user_type: UserType,
    /// The apps that the user may use.
    pub apps: Arc<[String]>,
    /// Which generation of the user's tokens it is of (ADR 17). A token from before there were any is of the first.
    #[serde(rename = "gen", default)]
    pub generation: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AccessType {
    Access,
}

impl AccessClaims {
    /// Returns when the token expires.
    pub fn expires_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.exp, 0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Makes the claims of a token of the first generation.
    #[cfg(test)]
    pub(crate) fn for_tests(sid: SessionId, sub: UserId, expires_at: DateTime<Utc>) -> Self {
        let issued_at = (expires_at - ACCESS_LIFETIME).timestamp();
        Self {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            exp: expires_at.timestamp(),
            iat: issued_at,
            nbf: issued_at,
            jti: TokenId::generate(),
            sub,
            sid,
            typ: AccessType::Access,
            email: String::new(),
            handle: "ada".into(),
            user_type: UserType::Regular,
            apps: [].into(),
            generation: 0,
        }
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime { issued_at: self.iat, not_before: self.nbf, expires_at: self.exp }
    }
}

/// Without the address: it is personal.
impl fmt::Debug for AccessClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessClaims").field("sub", &self.sub).field("sid", &self.sid).finish_non_exhaustive()
    }
}

/// Whom a new access token is for.
#[derive(Clone)]
pub struct Grant {
    /// The token's own id.
    pub token_id: TokenId,
    /// The user.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// The user's address.
    pub email: String,
    /// The slug that names the user in URLs.
    pub handle: Arc<str>,
    /// What the user may do.
    pub user_type: UserType,
    /// The apps that the user may use.
    pub apps: Arc<[String]>,
    /// The generation of the user's tokens, as of when the rest was read.
    pub generation: i64,
}

/// A new access token.
pub struct IssuedAccess {
    /// The token.
    pub token: String,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// Issues access tokens. Only auth does.
pub struct AccessIssuer {
    keys: RwLock<Arc<SigningKeys>>,
    clock: SharedClock,
}

impl AccessIssuer {
    /// Makes an issuer that signs with the current one of `keys`.
    pub fn new(keys: SigningKeys, clock: SharedClock) -> Self {
        Self { keys: RwLock::new(Arc::new(keys)), clock }
    }

    /// Returns the public halves of the keys.
    pub fn jwks(&self) -> Jwks {
        self.keys().jwks().clone()
    }

    /// Returns the keys.
    pub fn keys(&self) -> Arc<SigningKeys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes other keys in the place of those before.
    pub fn replace_keys(&self, keys: SigningKeys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Signs an access token. **Blocking**: it takes milliseconds of one core.
    pub fn issue(&self, grant: Grant) -> Result<IssuedAccess, KeyError> {
        let now = self.clock.now();
        let expires_at = now + ACCESS_LIFETIME;
        let claims = AccessClaims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            exp: expires_at.timestamp(),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            jti: grant.token_id,
            sub: grant.user_id,
            sid: grant.session_id,
            typ: AccessType::Access,
            email: grant.email,
            handle: grant.handle,
            user_type: grant.user_type,
            apps: grant.apps,
            generation: grant.generation,
        };
        let keys = self.keys();
        let (kid, key) = keys.current(now);
        let token = jws::sign(kid, key, &claims)?;
        Ok(IssuedAccess { token, expires_at: claims.expires_at() })
    }
}

/// An access token that was verified.
pub struct VerifiedAccess {
    /// What it says.
    pub claims: AccessClaims,
    /// What was signed for whoever shows it.
    pub identities: SignedIdentities,
    /// The generation of keys that it was verified with.
    verified_with: u64,
}

impl fmt::Debug for VerifiedAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.claims.fmt(f)
    }
}

/// Two are the same that say the same.
impl PartialEq for VerifiedAccess {
    fn eq(&self, other: &Self) -> bool {
        self.claims == other.claims
    }
}

/// Verifies access tokens. Only the gateway does.
///
/// It remembers the tokens that it verified, within a bound; each use of one still checks its times and whether
/// it was revoked.
pub struct AccessVerifier {
    keys: RwLock<KeySet>,
    verified: VerifiedTokens<Arc<VerifiedAccess>>,
    /// The lists of apps that tokens hold: each lies in memory once, and so near at hand, however many tokens hold it.
    apps: Mutex<HashSet<Arc<[String]>>>,
    revoked: Arc<RevokedTokens>,
    validation: Validation,
    clock: SharedClock,
}

#[derive(Default)]
struct KeySet {
    generation: u64,
    jwks: Jwks,
    keys: HashMap<String, Arc<DecodingKey>>,
}

impl AccessVerifier {
    /// Makes a verifier that knows no key yet and remembers up to `capacity` tokens.
    pub fn new(revoked: Arc<RevokedTokens>, clock: SharedClock, capacity: usize) -> Self {
        Self {
            keys: RwLock::default(),
            verified: VerifiedTokens::new(capacity),
            apps: Mutex::default(),
            revoked,
            validation: jws::validation(Algorithm::RS256, ISSUER, AUDIENCE),
            clock,
        }
    }

    /// Takes a new key set in the place of the one before. Tokens of a key that is gone are refused from now on.
    pub fn replace_keys(&self, jwks: &Jwks) -> Result<(), KeyError> {
        let mut set = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if set.jwks == *jwks {
            return Ok(());
        }
        let parse = |key: &Jwk| Ok((key.kid.clone(), Arc::new(key.decoding_key()?)));
        let keys = jwks.keys.iter().map(parse).collect::<Result<_, KeyError>>()?;
        *set = KeySet { generation: set.generation + 1, jwks: jwks.clone(), keys };
        Ok(())
    }

    /// Verifies an access token: signature, issuer, audience, type, times and revocation.
    ///
    /// A token seen before costs a hash and a look-up; a new one an RSA verification, about 0.1 ms.
    /// [`TokenError::UnknownKey`] says that a newer key set may help.
    pub fn verify(&self, token: &str) -> Result<Arc<VerifiedAccess>, TokenError> {
        let verified = self.find_or_verify(token)?;
        // No grace: whoever holds one that is over refreshes it.
        verified.claims.lifetime().check(self.clock.now(), ACCESS_LIFETIME.num_seconds(), 0)?;
        if self.revoked.covers(&verified.claims) {
            return Err(TokenError::Revoked);
        }
        Ok(verified)
    }

    /// Tells whether a token is remembered as one that was verified.
    pub fn has_seen(&self, token: &str) -> bool {
        self.verified.fingerprint(token).is_ok_and(|fingerprint| self.verified.get(fingerprint).is_some())
    }

    /// Tells whether a token that was good has been revoked since.
    pub fn is_revoked(&self, claims: &AccessClaims) -> bool {
        self.revoked.covers(claims)
    }

    fn find_or_verify(&self, token: &str) -> Result<Arc<VerifiedAccess>, TokenError> {
        let fingerprint = self.verified.fingerprint(token)?;
        let generation = self.key_set().generation;
        if let Some(verified) = self.verified.get(fingerprint)
            && verified.verified_with == generation
        {
            return Ok(verified);
        }
        let kid = jws::key_id(token, Algorithm::RS256)?;
        let (verified_with, key) = self.key(&kid).ok_or(TokenError::UnknownKey)?;
        let mut claims: AccessClaims = jws::verify(token, &key, &self.validation)?;
        claims.apps = self.shared(claims.apps);
        let verified = VerifiedAccess { claims, identities: SignedIdentities::default(), verified_with };
        let verified = Arc::new(verified);
        self.verified.insert(fingerprint, Arc::clone(&verified));
        Ok(verified)
    }

    fn shared(&self, apps: Arc<[String]>) -> Arc<[String]> {
        let mut known = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.get(&apps) {
            return Arc::clone(same);
        }
        if known.len() < MOST_LISTS {
            known.insert(Arc::clone(&apps));
        }
        apps
    }

    /// Returns a key with the generation it belongs to, as one reading.
    fn key(&self, kid: &str) -> Option<(u64, Arc<DecodingKey>)> {
        let set = self.key_set();
        set.keys.get(kid).map(|key| (set.generation, Arc::clone(key)))
    }

    fn key_set(&self) -> RwLockReadGuard<'_, KeySet> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use slipway_kernel::FixedClock;

    use super::*;

    #[test]
    fn what_is_no_token_takes_no_place_among_those_that_were_verified() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(FixedClock::at(DateTime::UNIX_EPOCH + TimeDelta::days(20_000)));
        let keys = SigningKeys::load_or_create(directory.path()).unwrap();
        let issuer = AccessIssuer::new(keys, clock.clone());
        let verifier = AccessVerifier::new(Arc::default(), clock, 10);
        verifier.replace_keys(&issuer.jwks()).unwrap();
        let grant = Grant {
            token_id: TokenId::generate(),
            user_id: UserId::generate(),
            session_id: SessionId::generate(),
            email: String::new(),
            handle: "ada".into(),
            user_type: UserType::Regular,
            apps: [].into(),
            generation: 0,
        };
        let good = issuer.issue(grant).unwrap().token;
        let (message, signature) = good.rsplit_once('.').unwrap();
        verifier.verify(&good).unwrap();

        for number in 0..1000 {
            let forged = format!("{message}.{number:04}{}", &signature[4..]);
            for garbage in [forged, format!("{number}{good}"), format!("{number}.a.b"), number.to_string()] {
                verifier.verify(&garbage).unwrap_err();
            }
        }

        assert_eq!(verifier.verified.len(), 1);
        assert!(verifier.has_seen(&good), "it was not pushed out");
    }
}
