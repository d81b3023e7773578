use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use quick_cache::sync::Cache;
use slipway_kernel::{SessionId, SharedClock};

use super::{GATEWAY, IdentityClaims, LIFETIME, REUSED_FOR, ServiceName, SubjectClaims, UserIdentity};
use crate::{KeyError, jwks, jws, keys};

/// Sessions times audiences that one service speaks for at a time; more are signed anew.
const CAPACITY: usize = 20_000;

/// Signs what a service says about who calls.
///
/// An identity is signed once for a session and an audience, and used again for half a minute.
pub struct IdentitySigner {
    service: ServiceName,
    kid: String,
    key: Ed25519KeyPair,
    minted: Cache<(Option<SessionId>, ServiceName), Minted>,
    clock: SharedClock,
}

#[derive(Clone)]
struct Minted {
    at: i64,
    /// None for the service itself.
    user: Option<UserIdentity>,
    token: Arc<str>,
}

impl IdentitySigner {
    /// Loads `<service>.identity.pem` from `directory`, makes it at first start, and puts the public half beside it
    /// as `<service>.identity.pub.pem`. Processes that start at the same time end with the same key.
    pub fn load_or_create(
        directory: &Path,
        service: ServiceName,
        clock: SharedClock,
    ) -> Result<Self, KeyError> {
        keys::create_directory(directory)?;
        let path = directory.join(format!("{service}.identity.pem"));
        if !path.exists() {
            let new = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1());
            keys::write_private(&path, "PRIVATE KEY", new.map_err(|_| KeyError::Cryptography)?.as_ref())?;
        }
        let not_a_key = || KeyError::NotAKey { path: path.clone(), expected: "an Ed25519 key in PKCS#8 PEM" };
        let text = keys::read_private(&path)?;
        let der = pem::parse(text.as_bytes()).map_err(|_| not_a_key())?;
        let key = Ed25519KeyPair::from_pkcs8(der.contents()).map_err(|_| not_a_key())?;
        publish(directory, &service, &key)?;
        let kid = jwks::ed25519_thumbprint(key.public_key().as_ref());
        Ok(Self { service, kid, key, minted: Cache::new(CAPACITY), clock })
    }

    /// Signs that `user` calls `audience`. Only the gateway's word is believed.
    pub fn for_user(&self, user: &UserIdentity, audience: &ServiceName) -> Result<Arc<str>, KeyError> {
        debug_assert_eq!(self.service.as_str(), GATEWAY, "no other service speaks for users");
        self.mint(Some(user), audience)
    }

    /// Signs that this service calls `audience` for work of its own.
    pub fn for_service(&self, audience: &ServiceName) -> Result<Arc<str>, KeyError> {
        self.mint(None, audience)
    }

    fn mint(&self, user: Option<&UserIdentity>, audience: &ServiceName) -> Result<Arc<str>, KeyError> {
        let now = self.clock.now().timestamp();
        let place = (user.map(|user| user.session_id), audience.clone());
        if let Some(minted) = self.minted.get(&place)
            && (0..REUSED_FOR).contains(&(now - minted.at))
            && minted.user.as_ref() == user
        {
            return Ok(minted.token);
        }
        let claims = IdentityClaims {
            iss: self.service.clone(),
            aud: audience.clone(),
            exp: now + LIFETIME,
            iat: now,
            nbf: now,
            subject: match user {
                Some(user) => SubjectClaims::Identity(user.clone()),
                None => SubjectClaims::Service { sub: self.service.clone() },
            },
        };
        let token: Arc<str> = jws::sign(&self.kid, &self.key, &claims)?.into();
        self.minted.insert(place, Minted { at: now, user: user.cloned(), token: Arc::clone(&token) });
        Ok(token)
    }
}

/// Writes the public half, unless it is there already.
fn publish(directory: &Path, service: &ServiceName, pair: &Ed25519KeyPair) -> Result<(), KeyError> {
    let path = directory.join(format!("{service}.identity.pub.pem"));
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| KeyError::Cryptography)?;
    let same = |text: &str| pem::parse(text.as_bytes()).is_ok_and(|found| found.contents() == der.as_ref());
    if path.exists() && keys::read_public(&path).is_ok_and(|text| same(&text)) {
        return Ok(());
    }
    keys::write_public(&path, der.as_ref())
}
