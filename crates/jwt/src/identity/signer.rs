use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use slipway_kernel::SharedClock;
use smallvec::SmallVec;

use super::{GATEWAY, IdentityClaims, LIFETIME, REUSED_FOR, ServiceName, SubjectClaims, UserIdentity};
use crate::{KeyError, jwks, jws, keys};

/// Signs what a service says about who calls.
///
/// An identity is signed once for a caller and an audience, and used again for half a minute.
pub struct IdentitySigner {
    service: ServiceName,
    kid: String,
    key: Ed25519KeyPair,
    /// Those of the service itself.
    own: SignedIdentities,
    clock: SharedClock,
}

/// The identities that were signed for one caller, an audience each. They lie with what the caller is known by: what says
/// otherwise of the caller has others.
#[derive(Default)]
pub struct SignedIdentities(Mutex<SmallVec<[Signed; 1]>>);

struct Signed {
    audience: ServiceName,
    at: i64,
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
        Ok(Self { service, kid, key, own: SignedIdentities::default(), clock })
    }

    /// Signs that a user calls `audience`, unless that is among what was `signed` for them. Only the gateway's word is
    /// believed.
    pub fn for_user(
        &self,
        signed: &SignedIdentities,
        audience: &ServiceName,
        user: impl FnOnce() -> UserIdentity,
    ) -> Result<Arc<str>, KeyError> {
        debug_assert_eq!(self.service.as_str(), GATEWAY, "no other service speaks for users");
        self.sign(signed, audience, || SubjectClaims::Identity(user()))
    }

    /// Signs that this service calls `audience` for work of its own.
    pub fn for_service(&self, audience: &ServiceName) -> Result<Arc<str>, KeyError> {
        self.sign(&self.own, audience, || SubjectClaims::Service { sub: self.service.clone() })
    }

    fn sign(
        &self,
        signed: &SignedIdentities,
        audience: &ServiceName,
        subject: impl FnOnce() -> SubjectClaims,
    ) -> Result<Arc<str>, KeyError> {
        let now = self.clock.now().timestamp();
        let mut signed = signed.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |signed: &Signed| (0..REUSED_FOR).contains(&(now - signed.at));
        if let Some(known) = signed.iter().find(|known| known.audience == *audience && is_good(known)) {
            return Ok(Arc::clone(&known.token));
        }
        let claims = IdentityClaims {
            iss: self.service.clone(),
            aud: audience.clone(),
            exp: now + LIFETIME,
            iat: now,
            nbf: now,
            subject: subject(),
        };
        let token: Arc<str> = jws::sign(&self.kid, &self.key, &claims)?.into();
        signed.retain(|signed| is_good(signed));
        signed.push(Signed { audience: audience.clone(), at: now, token: Arc::clone(&token) });
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
