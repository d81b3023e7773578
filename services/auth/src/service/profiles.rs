use std::sync::Arc;

use slipway_audit::{Action, Event};
use slipway_db::{Database, DbError, PgConnection, SealedRow};
use slipway_kernel::{Origin, SharedClock, UserId};
use slipway_models::audit::AuditActor;
use slipway_sealing::SealingKeys;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::{Profile, User, Username};
use crate::error::AuthError;
use crate::store;
use crate::store::profiles::StoredProfile;
use crate::store::users::{FullName, USERNAME_KEY};

const SEALED_FOR: &[u8] = b"discord-webhook";

/// What people say of themselves.
#[derive(Clone)]
pub(crate) struct Profiles {
    db: Database,
    seal: Arc<SealingKeys>,
    clock: SharedClock,
}

/// What a person changes of their account; what is left out stays.
pub(crate) struct AccountChange {
    pub(crate) username: Option<Username>,
    pub(crate) full_name: Option<String>,
}

impl Profiles {
    pub(crate) fn new(db: Database, seal: Arc<SealingKeys>, clock: SharedClock) -> Self {
        Self { db, seal, clock }
    }

    /// Returns a user's profile.
    pub(crate) async fn find(&self, user: UserId) -> Result<Profile, AuthError> {
        let (full_name, stored) = self
            .db
            .run("profile.find", move |connection| {
                let FullName(name) =
                    store::users::find_full_name(connection, user)?.ok_or(AuthError::AccountGone)?;
                Ok::<_, AuthError>((name, store::profiles::find(connection, user)?))
            })
            .await?;
        Ok(Profile {
            full_name,
            discord_webhook: self.open(user, stored.sealed_discord_webhook.as_deref()),
            phone: stored.phone,
            locale: stored.locale,
            time_zone: stored.time_zone,
            discord_username: stored.discord_username,
        })
    }

    /// Puts a profile in the place of the one before.
    pub(crate) async fn put(
        &self,
        user: UserId,
        profile: Profile,
        origin: Origin,
    ) -> Result<Profile, AuthError> {
        let (given, now) = (profile.clone(), self.clock.now());
        let webhook = profile.discord_webhook.map(|url| self.seal.seal(&context(user), url.as_bytes()));
        let stored = StoredProfile {
            phone: profile.phone,
            locale: profile.locale,
            time_zone: profile.time_zone,
            discord_username: profile.discord_username,
            sealed_discord_webhook: webhook.transpose()?,
        };
        let full_name = profile.full_name;
        self.db
            .transaction("profile.put", move |connection| {
                if !store::users::update_full_name(connection, user, full_name.as_deref())? {
                    return Err(AuthError::AccountGone);
                }
                store::profiles::insert(connection, user, &stored, now)?;
                let event = Event::new(Action::PROFILE_UPDATE, AuditActor::User { id: user }, now);
                Ok(slipway_audit::record(connection, event.from(&origin).on("user", &user))?)
            })
            .await?;
        Ok(given)
    }

    /// Changes a user's own account.
    pub(crate) async fn update_account(
        &self,
        user: UserId,
        change: AccountChange,
        origin: Origin,
    ) -> Result<User, AuthError> {
        let now = self.clock.now();
        let event = Event::new(Action::ACCOUNT_UPDATE, AuditActor::User { id: user }, now)
            .from(&origin)
            .on("user", &user)
            .with("username", change.username.is_some())
            .with("full_name", change.full_name.is_some());
        let updated = self
            .db
            .transaction("user.update_own", move |connection| {
                apply(connection, user, &change)?;
                slipway_audit::record(connection, event)?;
                store::users::find(connection, user)?.ok_or(AuthError::AccountGone)
            })
            .await;
        match updated {
            Err(AuthError::Database(taken)) if taken.violates(USERNAME_KEY) => Err(AuthError::UsernameTaken),
            updated => updated,
        }
    }

    /// Seals anew what a key before the current one sealed, so that its file may go.
    pub(crate) async fn seal_anew(self, stop: CancellationToken) {
        slipway_db::seal_anew::<SealedWebhook>(self.db, self.seal, stop).await;
    }

    /// Opens what was sealed. What does not open is logged, and shown as if it were not there: it can be set again.
    fn open(&self, user: UserId, sealed: Option<&[u8]>) -> Option<String> {
        match self.seal.open(&context(user), sealed?) {
            Ok(plain) => Some(String::from_utf8_lossy(&plain).into_owned()),
            Err(fault) => {
                tracing::error!(error = %fault, user.id = %user, "a webhook does not open");
                None
            }
        }
    }
}

/// A webhook as it lies in the database.
struct SealedWebhook {
    user: UserId,
    sealed: Vec<u8>,
}

impl SealedRow for SealedWebhook {
    const KIND: &'static str = "webhook";

    fn id(&self) -> Uuid {
        self.user.as_uuid()
    }

    fn context(&self) -> impl AsRef<[Vec<u8>]> {
        context(self.user)
    }

    fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    fn list(connection: &mut PgConnection, after: Option<Uuid>, limit: i64) -> Result<Vec<Self>, DbError> {
        let rows = store::profiles::list_sealed(connection, after.map(Into::into), limit)?;
        Ok(rows.into_iter().map(|(user, sealed)| Self { user, sealed }).collect())
    }

    fn update(&self, connection: &mut PgConnection, sealed: &[u8]) -> Result<(), DbError> {
        store::profiles::update_sealed(connection, self.user, &self.sealed, sealed)
    }
}

fn apply(connection: &mut PgConnection, user: UserId, change: &AccountChange) -> Result<(), AuthError> {
    if let Some(username) = &change.username {
        store::users::update_username(connection, user, username)?;
    }
    if let Some(name) = &change.full_name {
        store::users::update_full_name(connection, user, Some(name))?;
    }
    Ok(())
}

fn context(user: UserId) -> [Vec<u8>; 2] {
    [SEALED_FOR.to_vec(), user.as_uuid().as_bytes().to_vec()]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use slipway_db::DatabaseConfig;
    use slipway_telemetry::Metrics;
    use slipway_testkit::{TestDatabase, fixed_clock};

    use super::*;
    use crate::app::MIGRATIONS;
    use crate::service::tests::insert_user;

    const WEBHOOK: &str = "https://discord.com/api/webhooks/1/x";

    fn load(db: &Database, directory: &Path) -> Profiles {
        let seal = SealingKeys::load_or_create(directory, "auth").unwrap();
        Profiles::new(db.clone(), Arc::new(seal), fixed_clock())
    }

    #[tokio::test]
    async fn webhooks_are_sealed_anew_under_a_new_key_so_that_the_old_one_may_go() {
        let database = TestDatabase::create("auth", MIGRATIONS);
        let config = DatabaseConfig { owner_url: None, ..database.config() };
        let db = Database::new(&config, &Metrics::new("auth").unwrap()).unwrap();
        let user =
            db.run("test.insert", |connection| Ok::<_, AuthError>(insert_user(connection))).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let old = load(&db, directory.path());
        let profile = Profile { discord_webhook: Some(WEBHOOK.to_owned()), ..Profile::default() };
        let origin = Origin { address: None, request_id: String::new() };
        old.put(user, profile, origin).await.unwrap();
        let other = tempfile::tempdir().unwrap();
        load(&db, other.path());
        let (first, second) = ("auth.sealing-0.pem", "auth.sealing-1.pem");
        std::fs::rename(other.path().join(first), directory.path().join(second)).unwrap();

        load(&db, directory.path()).seal_anew(CancellationToken::new()).await;

        std::fs::remove_file(directory.path().join(first)).unwrap();
        let webhook = async |profiles: &Profiles| profiles.find(user).await.unwrap().discord_webhook;
        assert_eq!(webhook(&load(&db, directory.path())).await.as_deref(), Some(WEBHOOK));
        assert_eq!(webhook(&old).await, None, "it is the new key's");
    }
}
