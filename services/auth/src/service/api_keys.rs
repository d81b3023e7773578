use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use slipway_audit::{Action, Event};
use slipway_db::Database;
use slipway_jwt::{ApiKeyFingerprint, ApiKeySecret, SecretKey};
use slipway_kernel::{ApiKeyId, Origin, Page, PageRequest, SharedClock, UserId};
use slipway_models::api_keys::{CreateApiKeyRequest, KnownApiKey, Scope};
use slipway_models::audit::AuditActor;
use slipway_models::groups::App;

use super::grants::effective;
use crate::domain::{ApiKey, ApiKeyDigest, MAX_API_KEYS, User, WantedApiKey};
use crate::error::AuthError;
use crate::service::{Revocations, Sessions};
use crate::store;

const DIGEST: &str = "api-key";
/// How exactly it is known when a key was last used: not every use is a write.
const USED_WITHIN: TimeDelta = TimeDelta::minutes(1);

/// People's API keys (ADR 24).
#[derive(Clone)]
pub(crate) struct ApiKeys {
    db: Database,
    secret: Arc<SecretKey>,
    revocations: Revocations,
    clock: SharedClock,
}

impl ApiKeys {
    /// Takes what `sessions` works with. The digests of keys are made under `secret`.
    pub(crate) fn beside(sessions: &Sessions, secret: Arc<SecretKey>) -> Self {
        let (db, revocations) = (sessions.db.clone(), sessions.revocations.clone());
        Self { db, secret, revocations, clock: Arc::clone(&sessions.clock) }
    }

    /// Makes a key for `owner`; returns it with the key itself, which nothing tells again.
    pub(crate) async fn create(
        &self,
        owner: UserId,
        request: CreateApiKeyRequest,
        origin: Origin,
    ) -> Result<(ApiKey, ApiKeySecret), AuthError> {
        let now = self.clock.now();
        let WantedApiKey { name, scopes, expires_at } =
            WantedApiKey::read(request, now).map_err(AuthError::Invalid)?;
        let secret = ApiKeySecret::generate()?;
        let digest = self.digest(&secret.fingerprint());
        let key = ApiKey {
            id: ApiKeyId::generate(),
            owner,
            name,
            prefix: secret.prefix().to_owned(),
            scopes,
            created_at: now,
            expires_at,
            last_used_at: None,
        };
        let new = key.clone();
        self.db
            .transaction("api_key.create", move |connection| {
                // Of several at once each sees those before it.
                store::users::lock_credentials(connection, owner)?.ok_or(AuthError::AccountGone)?;
                if store::api_keys::count_live(connection, owner, now)? >= MAX_API_KEYS {
                    return Err(AuthError::TooManyApiKeys);
                }
                store::api_keys::insert(connection, &new, &digest)?;
                let scopes: Vec<_> = new.scopes.iter().map(|scope| scope.as_str()).collect();
                let event = Event::new(Action::API_KEY_CREATE, AuditActor::User { id: owner }, now);
                let event = event.from(&origin).on("api_key", &new.id).with("scopes", scopes);
                Ok(slipway_audit::record(connection, event.with("expires_at", new.expires_at.to_rfc3339()))?)
            })
            .await?;
        Ok((key, secret))
    }

    /// Lists the keys of `owner`, newest first.
    pub(crate) async fn list(&self, owner: UserId, page: PageRequest) -> Result<Page<ApiKey>, AuthError> {
        let rows = self
            .db
            .run("api_key.list", move |connection| {
                store::api_keys::list(connection, owner, &page).map_err(AuthError::from)
            })
            .await?;
        Ok(Page::from_rows(rows, &page, |key| key.id.as_uuid()))
    }

    /// Ends a key of `owner`: gateways refuse it within a second.
    pub(crate) async fn delete(&self, owner: UserId, id: ApiKeyId, origin: Origin) -> Result<(), AuthError> {
        let now = self.clock.now();
        let revoked = self
            .db
            .transaction("api_key.delete", move |connection| {
                let revoked = Revocations::end_api_key(connection, owner, id, now)?;
                let event = Event::new(Action::API_KEY_DELETE, AuditActor::User { id: owner }, now);
                slipway_audit::record(connection, event.from(&origin).on("api_key", &id))?;
                Ok::<_, AuthError>(revoked)
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(())
    }

    /// Finds a key that a gateway was shown, and notes its use. `None` for one that is not there, has ended, or whose
    /// owner may not sign in: who shows it learns no more than that.
    pub(crate) async fn find(
        &self,
        fingerprint: &ApiKeyFingerprint,
    ) -> Result<Option<KnownApiKey>, AuthError> {
        let digest = self.digest(fingerprint);
        let now = self.clock.now();
        let found = self
            .db
            .run("api_key.find", move |connection| {
                let found = store::api_keys::find_usable(connection, &digest, now)?;
                let Some((key, owner)) = found else { return Ok(None) };
                if is_newer(&key, now) {
                    store::api_keys::update_used(connection, key.id, now)?;
                }
                // After the owner's generation: what changes in between ends what is told here.
                let apps = effective(connection, &owner)?;
                Ok::<_, AuthError>(Some((key, owner, apps)))
            })
            .await?;
        Ok(found.map(|(key, owner, apps)| known(key, owner, &apps)))
    }

    fn digest(&self, fingerprint: &ApiKeyFingerprint) -> ApiKeyDigest {
        self.secret.digest(DIGEST, fingerprint.as_bytes())
    }
}

fn is_newer(key: &ApiKey, now: DateTime<Utc>) -> bool {
    key.last_used_at.is_none_or(|used_at| now - used_at >= USED_WITHIN)
}

fn known(key: ApiKey, owner: User, apps: &[App]) -> KnownApiKey {
    KnownApiKey {
        id: key.id,
        apps: apps.iter().filter(|app| names(&key.scopes, app.as_str())).map(App::to_string).collect(),
        scopes: key.scopes,
        expires_at: key.expires_at,
        user_id: owner.id,
        handle: owner.handle,
        user_type: owner.user_type,
        generation: owner.token_generation,
    }
}

fn names(scopes: &[Scope], app: &str) -> bool {
    scopes.iter().any(|scope| scope.app() == app)
}
