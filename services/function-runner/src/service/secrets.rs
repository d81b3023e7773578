use std::sync::Arc;

use slipway_audit::Action;
use slipway_db::{Database, PgConnection};
use slipway_kernel::{FunctionId, Origin, Page, PageRequest, SecretId, SharedClock, UserId};
use slipway_models::problem::FieldError;
use slipway_sealing::{OVERHEAD_BYTES, SealingKeys};
use tokio_util::sync::CancellationToken;

use super::{Functions, trail};
use crate::domain::{MAX_SECRET_BYTES, MAX_SECRETS, MAX_SECRETS_BYTES, Sealed, Secret, SecretName};
use crate::error::FunctionError;
use crate::store;

/// What functions are told and nobody else: sealed in the database, opened when an instance is configured.
pub(crate) struct Secrets {
    db: Database,
    clock: SharedClock,
    functions: Arc<Functions>,
    keys: Arc<SealingKeys>,
}

impl Secrets {
    pub(crate) fn new(
        db: Database,
        clock: SharedClock,
        functions: Arc<Functions>,
        keys: Arc<SealingKeys>,
    ) -> Self {
        Self { db, clock, functions, keys }
    }

    /// Sets a secret of an owner's function. New calls know it; those in flight end as they began.
    pub(crate) async fn set(
        &self,
        owner: UserId,
        function_id: FunctionId,
        name: SecretName,
        value: String,
        origin: Origin,
    ) -> Result<Secret, FunctionError> {
        check(&value)?;
        let now = self.clock.now();
        let mut secret = Secret {
            id: SecretId::generate(),
            function_id,
            owner,
            name: name.as_str().to_owned(),
            sealed: Sealed(Vec::new()),
            created_at: now,
            updated_at: now,
        };
        secret.sealed = Sealed(self.seal(&secret, value.as_bytes())?);
        self.functions
            .change("secret.set", owner, function_id, move |connection, function| {
                require_room(connection, &secret)?;
                let event = trail::of_function(Action::SECRET_SET, function, &origin, now);
                slipway_audit::record(connection, event.with("secret", secret.name.as_str()))?;
                Ok(store::secrets::insert_or_update(connection, secret)?)
            })
            .await
    }

    /// Deletes a secret of an owner's function.
    pub(crate) async fn delete(
        &self,
        owner: UserId,
        function_id: FunctionId,
        name: SecretName,
        origin: Origin,
    ) -> Result<(), FunctionError> {
        let now = self.clock.now();
        self.functions
            .change("secret.delete", owner, function_id, move |connection, function| {
                if !store::secrets::delete(connection, owner, function_id, &name)? {
                    return Err(FunctionError::SecretNotFound);
                }
                let event = trail::of_function(Action::SECRET_DELETE, function, &origin, now);
                Ok(slipway_audit::record(connection, event.with("secret", name.as_str()))?)
            })
            .await
    }

    /// Lists the secrets of an owner's function, newest first.
    pub(crate) async fn list(
        &self,
        owner: UserId,
        function_id: FunctionId,
        page: PageRequest,
    ) -> Result<Page<Secret>, FunctionError> {
        let rows = self
            .db
            .run("secret.list", move |connection| {
                store::functions::find(connection, owner, function_id)?.ok_or(FunctionError::NotFound)?;
                Ok::<_, FunctionError>(store::secrets::list(connection, owner, function_id, &page)?)
            })
            .await?;
        Ok(Page::from_rows(rows, &page, |secret| secret.id.as_uuid()))
    }

    /// Seals anew what a key before the current one sealed, so that its file may go.
    pub(crate) async fn seal_anew(self: Arc<Self>, stop: CancellationToken) {
        slipway_db::seal_anew::<Secret>(self.db.clone(), Arc::clone(&self.keys), stop).await;
    }

    fn seal(&self, secret: &Secret, value: &[u8]) -> Result<Vec<u8>, FunctionError> {
        Ok(self.keys.seal(&secret.context(), value)?)
    }
}

fn check(value: &str) -> Result<(), FunctionError> {
    let detail = if value.len() > MAX_SECRET_BYTES {
        format!("must be at most {MAX_SECRET_BYTES} bytes")
    } else if value.contains('\0') {
        "must not hold a NUL".to_owned()
    } else {
        return Ok(());
    };
    Err(FunctionError::Invalid(vec![FieldError { pointer: "/value".to_owned(), detail }]))
}

/// Its function is locked: nobody else takes what room there is.
fn require_room(connection: &mut PgConnection, secret: &Secret) -> Result<(), FunctionError> {
    let mut others = store::secrets::list_all(connection, secret.owner, secret.function_id)?;
    others.retain(|other| other.name != secret.name);
    let size = |secret: &Secret| secret.name.len() + secret.sealed.0.len().saturating_sub(OVERHEAD_BYTES);
    if others.len() >= MAX_SECRETS {
        return Err(FunctionError::TooManySecrets(format!("a function has at most {MAX_SECRETS} secrets")));
    }
    if others.iter().map(size).sum::<usize>() + size(secret) > MAX_SECRETS_BYTES {
        let detail = format!("the secrets of a function are at most {MAX_SECRETS_BYTES} bytes in all");
        return Err(FunctionError::TooManySecrets(detail));
    }
    Ok(())
}
