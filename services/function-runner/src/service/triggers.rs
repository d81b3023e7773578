//! From a public path to the function that it calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slipway_kernel::UserId;

use super::Functions;
use crate::domain::Version;
use crate::error::FunctionError;
use crate::store;

/// How many handles are remembered; when there are more, all are forgotten and read again as they are used.
const CAPACITY: usize = 10_000;

/// Who goes by which handle. A handle never changes and is never given to another, so what is known stays true.
#[derive(Default)]
pub(super) struct Handles(Mutex<HashMap<Arc<str>, UserId>>);

impl Handles {
    fn get(&self, handle: &str) -> Option<UserId> {
        self.known().get(handle).copied()
    }

    fn put(&self, handle: &str, owner: UserId) {
        let mut known = self.known();
        if known.len() >= CAPACITY {
            known.clear();
        }
        known.insert(handle.into(), owner);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Arc<str>, UserId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Functions {
    /// Notes the handle that an owner's identity states, so that others find the functions by it.
    pub(crate) async fn note_handle(&self, owner: UserId, handle: &Arc<str>) -> Result<(), FunctionError> {
        if self.handles.get(handle) == Some(owner) {
            return Ok(());
        }
        let noted = Arc::clone(handle);
        self.db
            .run("owner_handle.insert", move |connection| {
                store::owner_handles::insert(connection, owner, &noted)
            })
            .await?;
        self.handles.put(handle, owner);
        Ok(())
    }

    /// Returns the version that `/f/{handle}/{name}` calls for `caller`, who may be nobody: from memory where it was
    /// called before.
    ///
    /// What a caller may not call is answered as what is not there: 401 to nobody, 404 to somebody.
    pub(crate) async fn triggered(
        &self,
        handle: &str,
        name: &str,
        caller: Option<UserId>,
    ) -> Result<Arc<Version>, FunctionError> {
        let refusal = || if caller.is_some() { FunctionError::NotFound } else { FunctionError::SignInToCall };
        let owner = self.owner_of(handle).await?.ok_or_else(refusal)?;
        let is_owner = caller == Some(owner);
        let version = match self.version_named(owner, name).await {
            // That there is a function which cannot be called yet is for its owner to know.
            Err(FunctionError::NotFound | FunctionError::NotActive) if !is_owner => return Err(refusal()),
            found => found?,
        };
        if is_owner || version.config.public { Ok(version) } else { Err(refusal()) }
    }

    /// Returns the version that `/f/{handle}/{name}` calls for whoever shows a signature of one of its keys: that is
    /// for the caller to verify.
    pub(super) async fn signed_for(&self, handle: &str, name: &str) -> Result<Arc<Version>, FunctionError> {
        let owner = self.owner_of(handle).await?.ok_or(FunctionError::NotFound)?;
        self.version_named(owner, name).await
    }

    async fn version_named(&self, owner: UserId, name: &str) -> Result<Arc<Version>, FunctionError> {
        if let Some(version) = self.versions.get_named(owner, name) {
            return Ok(version);
        }
        let named = name.to_owned();
        let function = self
            .db
            .run("function.find_named", move |connection| {
                store::functions::find_named(connection, owner, &named)?.ok_or(FunctionError::NotFound)
            })
            .await?;
        self.active_version(owner, function.id).await
    }

    async fn owner_of(&self, handle: &str) -> Result<Option<UserId>, FunctionError> {
        if let Some(owner) = self.handles.get(handle) {
            return Ok(Some(owner));
        }
        let named = handle.to_owned();
        let found = self
            .db
            .run("owner_handle.find", move |connection| store::owner_handles::find_owner(connection, &named))
            .await?;
        if let Some(owner) = found {
            self.handles.put(handle, owner);
        }
        Ok(found)
    }
}
