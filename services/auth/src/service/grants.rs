use std::sync::Arc;

use slipway_audit::{Action, Event};
use slipway_db::{Database, DbError, PgConnection};
use slipway_kernel::{GroupId, SharedClock, UserId};
use slipway_models::audit::AuditActor;
use slipway_models::groups::{App, UserAppsBody};

use crate::domain::{Asker, SeenGroup, StatedApps, User, app_names, effective_apps};
use crate::error::AuthError;
use crate::service::revocations::Revoked;
use crate::service::{By, Revocations, Sessions, groups};
use crate::store;

/// Which apps people and groups are granted (ADR 22).
#[derive(Clone)]
pub(crate) struct Grants {
    db: Database,
    revocations: Revocations,
    clock: SharedClock,
}

impl Grants {
    /// Takes what `sessions` works with.
    pub(crate) fn beside(sessions: &Sessions) -> Self {
        Self {
            db: sessions.db.clone(),
            revocations: sessions.revocations.clone(),
            clock: Arc::clone(&sessions.clock),
        }
    }

    /// Returns what is stated for a person, and what comes of it.
    pub(crate) async fn of_user(&self, user: UserId) -> Result<UserAppsBody, AuthError> {
        self.db
            .run("apps.find_of_user", move |connection| {
                let user = store::users::find(connection, user)?.ok_or(AuthError::UserNotFound)?;
                Ok(UserAppsBody { effective: effective(connection, &user)?, apps: user.apps })
            })
            .await
    }

    /// States which apps a person may use, or that nothing is stated. Tokens that state others are revoked.
    pub(crate) async fn put_of_user(
        &self,
        user: UserId,
        apps: StatedApps,
        By { admin, origin }: By,
    ) -> Result<UserAppsBody, AuthError> {
        let now = self.clock.now();
        let event = Event::new(Action::USER_APPS, AuditActor::User { id: admin }, now);
        let event = event.from(&origin).on("user", &user).with("apps", app_names(&apps));
        let (body, revoked) = self
            .db
            .transaction("apps.put_of_user", move |connection| {
                store::people::lock_admins(connection)?;
                let found = store::users::lock_credentials(connection, user)?;
                let found = found.ok_or(AuthError::UserNotFound)?.user;
                let mut revoked = Revoked::default();
                if found.apps != apps {
                    store::users::update_apps(connection, user, &apps)?;
                    slipway_audit::record(connection, event.with("old_apps", app_names(&found.apps)))?;
                    revoked = Revocations::revoke_access_of_user(connection, user, now)?;
                }
                let changed = User { apps, ..found };
                let effective = effective(connection, &changed)?;
                Ok::<_, AuthError>((UserAppsBody { apps: changed.apps, effective }, revoked))
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(body)
    }

    /// States which apps those may use who belong to a group, or that nothing is stated. Tokens that state others are
    /// revoked.
    pub(crate) async fn put_of_group(
        &self,
        id: GroupId,
        apps: StatedApps,
        asker: Asker,
    ) -> Result<StatedApps, AuthError> {
        let clock = Arc::clone(&self.clock);
        let event = Event::new(Action::GROUP_APPS, AuditActor::User { id: asker.user }, clock.now());
        let event = event.from(&asker.origin).on("group", &id).with("apps", app_names(&apps));
        let (apps, revoked) = self
            .db
            .transaction("apps.put_of_group", move |connection| {
                let SeenGroup { group, .. } = groups::lock(connection, id, &asker)?;
                // After all waiting: gateways look back so far only for what commits late.
                let now = clock.now();
                if group.apps == apps {
                    return Ok((apps, Revoked::default()));
                }
                store::groups::update_apps(connection, id, &apps)?;
                slipway_audit::record(connection, event.with("old_apps", app_names(&group.apps)))?;
                let granted = store::group_members::list_granted(connection, id)?;
                Ok::<_, AuthError>((apps, Revocations::revoke_access_of_users(connection, &granted, now)?))
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(apps)
    }
}

/// Lists the apps that a person may use. What groups state is read after the account, in a statement of its own.
///
/// A token states what is read here, and the generation that was read with the account (ADR 17). Of a change between the
/// two, the generation is the old one: such a token is refused. Read the other way round, or by one statement that
/// waited for a lock of the account, a token of the new generation could state the old.
pub(super) fn effective(connection: &mut PgConnection, user: &User) -> Result<Vec<App>, DbError> {
    let of_groups = match user.apps {
        Some(_) => Vec::new(),
        None => store::apps::list_of_groups(connection, user.id)?,
    };
    Ok(effective_apps(user.apps.clone(), of_groups))
}
