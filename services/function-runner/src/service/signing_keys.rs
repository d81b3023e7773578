use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chrono::TimeDelta;
use slipway_audit::Action;
use slipway_db::Database;
use slipway_kernel::{FunctionId, Origin, Page, PageRequest, SharedClock, SigningKeyId, UserId};
use slipway_models::functions::SigningKeyRequest;
use slipway_models::problem::FieldError;
use slipway_sealing::SealingKeys;
use slipway_telemetry::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::Span;
use zeroize::Zeroizing;

use super::signatures::UsedSignatures;
use super::{Functions, trail};
use crate::domain::{
    MAX_SIGNING_KEY_NAME, MAX_SIGNING_KEYS, SIGNATURE_WINDOW_SECONDS, SIGNING_SECRET_PREFIX, Sealed,
    ShownSignature, SignedBy, SigningKey, Version,
};
use crate::error::FunctionError;
use crate::records::Records;
use crate::store;

const SECRET_BYTES: usize = 32;
/// How much of a secret its prefix shows: 4 of 43 characters that are chance.
const SHOWN: usize = SIGNING_SECRET_PREFIX.len() + 4;
/// How many functions' keys are remembered; when there are more, all are forgotten and read again as they are used.
const CAPACITY: usize = 10_000;
/// A body up to this size is digested where it is; a larger one would hold up other calls.
const QUICK_BYTES: usize = 64 * 1024;

/// The keys that sign calls of functions, and what they let in. A warm call that is signed asks the database for nothing.
pub(crate) struct SigningKeys {
    db: Database,
    clock: SharedClock,
    functions: Arc<Functions>,
    records: Arc<Records>,
    keys: Arc<SealingKeys>,
    known: Mutex<Known>,
    used: UsedSignatures,
}

/// The keys of functions that were called with a signature lately. True because this process is the only one that
/// changes them, and forgets them then.
#[derive(Default)]
struct Known {
    by_function: HashMap<FunctionId, Arc<[SigningKey]>>,
    changes: u64,
}

/// A call whose signature is good as far as that can be told without its body.
pub(crate) struct Admitted {
    /// What it calls.
    pub(crate) version: Arc<Version>,
    key: SigningKey,
    shown: ShownSignature,
}

impl SigningKeys {
    pub(crate) fn new(
        db: Database,
        clock: SharedClock,
        functions: Arc<Functions>,
        records: Arc<Records>,
        keys: Arc<SealingKeys>,
    ) -> Self {
        Self { db, clock, functions, records, keys, known: Mutex::default(), used: UsedSignatures::default() }
    }

    /// Makes a key for an owner's function; returns it with its secret, which nothing tells again.
    pub(crate) async fn create(
        &self,
        owner: UserId,
        function_id: FunctionId,
        request: SigningKeyRequest,
        origin: Origin,
    ) -> Result<(SigningKey, Zeroizing<String>), FunctionError> {
        check(&request)?;
        let secret = new_secret()?;
        let mut key = SigningKey {
            id: SigningKeyId::generate(),
            function_id,
            owner,
            name: request.name,
            scheme: request.scheme,
            prefix: secret.chars().take(SHOWN).collect(),
            sealed: Sealed(Vec::new()),
            created_at: self.clock.now(),
        };
        key.sealed = Sealed(self.keys.seal(&key.context(), secret.as_bytes())?);
        let new = key.clone();
        let written = self
            .db
            .transaction("signing_key.create", move |connection| {
                let function =
                    store::functions::lock(connection, owner, function_id)?.ok_or(FunctionError::NotFound)?;
                if store::signing_keys::list_all(connection, owner, function_id)?.len() >= MAX_SIGNING_KEYS {
                    return Err(FunctionError::TooManySigningKeys(MAX_SIGNING_KEYS));
                }
                let event = trail::of_function(Action::KEY_CREATE, &function, &origin, new.created_at);
                let event = event.with("key_id", new.id.to_string()).with("scheme", new.scheme.as_str());
                slipway_audit::record(connection, event)?;
                Ok(store::signing_keys::insert(connection, &new)?)
            })
            .await;
        self.forget(function_id);
        written?;
        Ok((key, secret))
    }

    /// Lists the keys of an owner's function, newest first.
    pub(crate) async fn list(
        &self,
        owner: UserId,
        function_id: FunctionId,
        page: PageRequest,
    ) -> Result<Page<SigningKey>, FunctionError> {
        let rows = self
            .db
            .run("signing_key.list", move |connection| {
                store::functions::find(connection, owner, function_id)?.ok_or(FunctionError::NotFound)?;
                Ok::<_, FunctionError>(store::signing_keys::list(connection, owner, function_id, &page)?)
            })
            .await?;
        Ok(Page::from_rows(rows, &page, |key| key.id.as_uuid()))
    }

    /// Deletes a key of an owner's function. From the answer on no call is let in for it.
    pub(crate) async fn delete(
        &self,
        owner: UserId,
        function_id: FunctionId,
        id: SigningKeyId,
        origin: Origin,
    ) -> Result<(), FunctionError> {
        let now = self.clock.now();
        let deleted = self
            .db
            .transaction("signing_key.delete", move |connection| {
                if !store::signing_keys::delete(connection, owner, function_id, id)? {
                    return Err(FunctionError::SigningKeyNotFound);
                }
                let event = trail::by(owner, Action::KEY_DELETE, &origin, now).on("function", &function_id);
                Ok(slipway_audit::record(connection, event.with("key_id", id.to_string()))?)
            })
            .await;
        // Whatever came of it: where the connection broke, it may be gone.
        self.forget(function_id);
        deleted
    }

    /// Lets in a call of `/f/{handle}/{name}` that shows a signature, as far as its head goes.
    ///
    /// Nobody learns what there is: a signature that is out of time is refused before anything is looked up, and one
    /// that is no key's as one for a function that does not exist.
    pub(crate) async fn admit(
        &self,
        handle: &str,
        name: &str,
        shown: ShownSignature,
    ) -> Result<Admitted, FunctionError> {
        if !shown.is_timely(self.clock.now()) {
            return Err(FunctionError::SignatureExpired);
        }
        let version = match self.functions.signed_for(handle, name).await {
            Err(FunctionError::NotFound | FunctionError::NotActive) => {
                return Err(FunctionError::InvalidSignature);
            }
            found => found?,
        };
        let keys = self.keys_of(version.owner, version.function_id).await?;
        let key = keys.iter().find(|key| key.id == shown.key_id && key.scheme == shown.scheme());
        let key = key.ok_or(FunctionError::InvalidSignature)?.clone();
        if !shown.fits_head(&self.open(&key)?) {
            return Err(FunctionError::InvalidSignature);
        }
        Ok(Admitted { version, key, shown })
    }

    /// Checks the body of a call that was let in, and that its signature is used for the first time. From then on it is
    /// used: a request that is sent again is signed again.
    pub(crate) async fn redeem(&self, call: Admitted, body: &Bytes) -> Result<SignedBy, FunctionError> {
        let secret = self.open(&call.key)?;
        let (key_id, function_id) = (call.key.id, call.key.function_id);
        let (mark, shown) = (call.shown.mark(), call.shown);
        let fits = if body.len() <= QUICK_BYTES {
            shown.fits_body(&secret, body)
        } else {
            let body = body.clone();
            spawn_blocking(Span::current(), move || shown.fits_body(&secret, &body)).await?
        };
        if !fits {
            return Err(FunctionError::InvalidSignature);
        }
        self.used.take(function_id, mark, self.clock.now())?;
        Ok(SignedBy { key_id, signature: mark })
    }

    /// Seals anew what a key before the current one sealed, so that its file may go.
    pub(crate) async fn seal_anew(self: Arc<Self>, stop: CancellationToken) {
        slipway_db::seal_anew::<SigningKey>(self.db.clone(), Arc::clone(&self.keys), stop).await;
    }

    /// Returns the keys of a function: from memory where they were used before. Where they were not, an earlier process
    /// may have taken signatures of theirs, which are on the record of what they set off.
    async fn keys_of(
        &self,
        owner: UserId,
        function_id: FunctionId,
    ) -> Result<Arc<[SigningKey]>, FunctionError> {
        let seen = {
            let known = self.known();
            if let Some(keys) = known.by_function.get(&function_id) {
                return Ok(Arc::clone(keys));
            }
            known.changes
        };
        let keys: Arc<[SigningKey]> = self
            .db
            .run("signing_key.list_all", move |connection| {
                store::signing_keys::list_all(connection, owner, function_id)
            })
            .await?
            .into();
        if !keys.is_empty() {
            let since = self.clock.now() - TimeDelta::seconds(2 * SIGNATURE_WINDOW_SECONDS);
            self.used.remember(function_id, self.records.signatures(owner, function_id, since).await?);
        }
        let mut known = self.known();
        if known.changes == seen {
            if known.by_function.len() >= CAPACITY {
                known.by_function.clear();
            }
            known.by_function.insert(function_id, Arc::clone(&keys));
        }
        Ok(keys)
    }

    fn forget(&self, function_id: FunctionId) {
        let mut known = self.known();
        known.changes += 1;
        known.by_function.remove(&function_id);
    }

    fn open(&self, key: &SigningKey) -> Result<Zeroizing<Vec<u8>>, FunctionError> {
        Ok(self.keys.open(&key.context(), &key.sealed.0)?)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_secret() -> Result<Zeroizing<String>, FunctionError> {
    let mut chance = Zeroizing::new([0; SECRET_BYTES]);
    rand::fill(chance.as_mut()).map_err(|_| FunctionError::NoChance)?;
    Ok(Zeroizing::new(format!("{SIGNING_SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(chance.as_ref()))))
}

fn check(request: &SigningKeyRequest) -> Result<(), FunctionError> {
    let Some(name) = &request.name else { return Ok(()) };
    if (1..=MAX_SIGNING_KEY_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let detail = format!("must be 1 to {MAX_SIGNING_KEY_NAME} characters, none of them a control character");
    Err(FunctionError::Invalid(vec![FieldError { pointer: "/name".to_owned(), detail }]))
}
