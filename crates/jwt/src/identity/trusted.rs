use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, Validation};

use super::{ALGORITHM, ServiceName};
use crate::{KeyError, jwks, jws, keys};

const SUFFIX: &str = ".identity.pub.pem";
/// How often an unknown key makes the directory be read again.
const REREAD_EVERY: TimeDelta = TimeDelta::seconds(1);

/// The public keys of the services whose word is believed: `<service>.identity.pub.pem` in one directory.
///
/// Services start in any order, so a key that is not known makes the directory be read again, at most once a
/// second.
pub struct TrustedKeys {
    directory: PathBuf,
    keys: RwLock<KeysById>,
    read_at: Mutex<DateTime<Utc>>,
}

type KeysById = HashMap<String, Arc<TrustedKey>>;

pub(super) struct TrustedKey {
    pub(super) service: ServiceName,
    pub(super) key: DecodingKey,
}

impl TrustedKeys {
    /// Reads the keys that lie in `directory`.
    pub fn load(directory: &Path) -> Result<Self, KeyError> {
        keys::create_directory(directory)?;
        let keys = RwLock::new(read(directory)?);
        Ok(Self { directory: directory.to_owned(), keys, read_at: Mutex::default() })
    }

    /// Finds a key by its id.
    pub(super) fn find(&self, kid: &str, now: DateTime<Utc>) -> Option<Arc<TrustedKey>> {
        let find = || self.keys.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned();
        find().or_else(|| {
            self.read_again(now);
            find()
        })
    }

    /// Reads the directory again, unless that was done a moment ago. Where it fails, the keys known so far stay.
    fn read_again(&self, now: DateTime<Utc>) {
        let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        if (now - *read_at).abs() < REREAD_EVERY {
            return;
        }
        *read_at = now;
        match read(&self.directory) {
            Ok(keys) => *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys,
            Err(fault) => tracing::warn!(%fault, "cannot read the services' public keys"),
        }
    }
}

fn read(directory: &Path) -> Result<KeysById, KeyError> {
    let mut found = KeysById::new();
    for path in keys::list(directory, |name| name.ends_with(SUFFIX))? {
        let not_a_key =
            || KeyError::NotAKey { path: path.clone(), expected: "a service's public Ed25519 key in PEM" };
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(SUFFIX));
        let service = name.and_then(|name| name.parse().ok()).ok_or_else(not_a_key)?;
        let text = keys::read_public(&path)?;
        let key = DecodingKey::from_ed_pem(text.as_bytes()).map_err(|_| not_a_key())?;
        let kid = jwks::ed25519_thumbprint(key.try_get_as_bytes().map_err(|_| not_a_key())?);
        found.insert(kid, Arc::new(TrustedKey { service, key }));
    }
    Ok(found)
}

impl TrustedKey {
    /// Makes the checks of a token that this service signed for `audience`.
    pub(super) fn validation(&self, audience: &ServiceName) -> Validation {
        jws::validation(ALGORITHM, self.service.as_str(), audience.as_str())
    }
}
