use std::sync::Arc;

use chrono::{DateTime, Utc};
use slipway_audit::{Action, Event};
use slipway_db::{Database, DbError, PgConnection};
use slipway_kernel::{Origin, Page, PageRequest, SharedClock, UserId};
use slipway_models::audit::AuditActor;
use slipway_models::auth::{DeletedUserBody, UserStatus};
use slipway_models::people::{ChangeUserRequest, PersonBody};

use crate::domain::{LetterKind, LinkPurpose, NewProof, Prefix, Standing, User, UserFilter};
use crate::error::AuthError;
use crate::service::passwords::random_password;
use crate::service::revocations::Revoked;
use crate::service::{Letters, Passwords, Revocations, Sessions};
use crate::store;

/// How many of the deleted a service is told of at a time.
const DELETED_AT_ONCE: i64 = 1_000;

/// Accounts of others: looked up by everyone, managed by admins (ADR 22).
#[derive(Clone)]
pub(crate) struct People {
    db: Database,
    passwords: Passwords,
    letters: Letters,
    revocations: Revocations,
    clock: SharedClock,
}

/// An admin, and where their request came from.
#[derive(Clone)]
pub(crate) struct By {
    pub(crate) admin: UserId,
    pub(crate) origin: Origin,
}

impl People {
    /// Takes what `sessions` works with.
    pub(crate) fn beside(sessions: &Sessions, letters: Letters) -> Self {
        Self {
            db: sessions.db.clone(),
            passwords: sessions.passwords.clone(),
            letters,
            revocations: sessions.revocations.clone(),
            clock: Arc::clone(&sessions.clock),
        }
    }

    /// Lists the first active people whose handle or name begins so.
    pub(crate) async fn look_up(&self, prefix: Prefix) -> Result<Vec<PersonBody>, AuthError> {
        self.db
            .run("user.list_by_prefix", move |connection| {
                Ok(store::people::list_by_prefix(connection, &prefix)?)
            })
            .await
    }

    /// Lists accounts, the newest first.
    pub(crate) async fn list(&self, filter: UserFilter, page: PageRequest) -> Result<Page<User>, AuthError> {
        let rows = self
            .db
            .run("user.list", move |connection| {
                store::people::list(connection, &filter, &page).map_err(AuthError::from)
            })
            .await?;
        Ok(Page::from_rows(rows, &page, |user| user.id.as_uuid()))
    }

    /// Changes what somebody may do, or whether they may sign in.
    pub(crate) async fn change(
        &self,
        user: UserId,
        request: ChangeUserRequest,
        by: By,
    ) -> Result<User, AuthError> {
        let change = move |standing: Standing| standing.changed(request.user_type, request.is_active);
        self.put(user, Action::USER_CHANGE, change, by).await
    }

    /// Lets somebody in who asked for an account.
    pub(crate) async fn approve(&self, user: UserId, by: By) -> Result<User, AuthError> {
        let change = |standing: Standing| standing.decided(UserStatus::Active);
        self.put(user, Action::USER_APPROVE, change, by).await
    }

    /// Turns somebody away who asked for an account: it is disabled, and so keeps its handle.
    pub(crate) async fn reject(&self, user: UserId, by: By) -> Result<User, AuthError> {
        let change = |standing: Standing| standing.decided(UserStatus::Disabled);
        self.put(user, Action::USER_REJECT, change, by).await
    }

    /// Deletes an account, with its sessions and all that is its own; other services hear of it. Its handle stays taken,
    /// and the audit log as it is.
    pub(crate) async fn delete(&self, user: UserId, By { admin, origin }: By) -> Result<(), AuthError> {
        let now = self.clock.now();
        let event = Event::new(Action::USER_DELETE, AuditActor::User { id: admin }, now);
        let event = event.from(&origin).on("user", &user);
        let revoked = self
            .db
            .transaction("user.delete", move |connection| {
                let found = lock_replaceable(connection, user)?;
                let revoked = Revocations::revoke_access_of_user(connection, user, now)?;
                store::users::delete(connection, user)?;
                store::deleted_users::insert(connection, user, now)?;
                slipway_audit::record(connection, event.with("handle", found.handle))?;
                Ok::<_, AuthError>(revoked)
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(())
    }

    /// Lists who was deleted after a position, the earliest first, some at a time.
    pub(crate) async fn list_deleted(&self, after: i64) -> Result<Vec<DeletedUserBody>, AuthError> {
        self.db
            .run("deleted_user.list", move |connection| {
                store::deleted_users::list(connection, after, DELETED_AT_ONCE).map_err(AuthError::from)
            })
            .await
    }

    /// Takes somebody's password away, ends their sessions, and orders a letter with a link to choose another.
    pub(crate) async fn reset_password(
        &self,
        user: UserId,
        By { admin, origin }: By,
    ) -> Result<(), AuthError> {
        if !self.letters.are_sent() {
            return Err(AuthError::NoLetters);
        }
        let hash =
            self.passwords.hash(self.passwords.turn()?, &NewProof::Password(random_password()?)).await?;
        let (letters, now) = (self.letters.clone(), self.clock.now());
        let event = Event::new(Action::USER_RESET_PASSWORD, AuditActor::User { id: admin }, now);
        let event = event.from(&origin).on("user", &user);
        let revoked = self
            .db
            .transaction("user.reset_password_of", move |connection| {
                let found = lock_replaceable(connection, user)?;
                store::users::update_password(connection, user, &hash, None)?;
                store::link_tokens::delete_of_user(connection, user, LinkPurpose::ResetPassword)?;
                letters.order(connection, LetterKind::ResetByAdmin, &found.email, now)?;
                slipway_audit::record(connection, event)?;
                let sessions = Revocations::end_sessions_of_user(connection, user, None, now)?;
                Ok::<_, AuthError>(sessions + Revocations::revoke_access_of_user(connection, user, now)?)
            })
            .await?;
        self.revocations.announce(revoked);
        self.letters.announce();
        Ok(())
    }

    /// The admins are locked first, all of them and in one order: of two who demote each other, one is left.
    async fn put(
        &self,
        user: UserId,
        action: Action,
        change: impl FnOnce(Standing) -> Result<Standing, AuthError> + Send + 'static,
        By { admin, origin }: By,
    ) -> Result<User, AuthError> {
        let now = self.clock.now();
        let event = Event::new(action, AuditActor::User { id: admin }, now).from(&origin).on("user", &user);
        let (changed, revoked) = self
            .db
            .transaction("user.update_standing", move |connection| {
                let admins = store::people::lock_admins(connection)?;
                let found =
                    store::users::lock_credentials(connection, user)?.ok_or(AuthError::UserNotFound)?;
                let old = Standing::of(&found.user);
                let new = change(old)?;
                if new == old {
                    return Ok((found.user, Revoked::default()));
                }
                if !new.runs_the_platform() && admins == [user] {
                    return Err(AuthError::LastAdmin);
                }
                store::people::update_standing(connection, user, new)?;
                slipway_audit::record(connection, with(event, old, new))?;
                let revoked = revoke(connection, user, new, now)?;
                let changed = store::users::find(connection, user)?.ok_or(AuthError::UserNotFound)?;
                Ok((changed, revoked))
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(changed)
    }
}

/// Locks an account that the platform can do without: not that of the last active admin.
fn lock_replaceable(connection: &mut PgConnection, user: UserId) -> Result<User, AuthError> {
    let admins = store::people::lock_admins(connection)?;
    let found = store::users::lock_credentials(connection, user)?.ok_or(AuthError::UserNotFound)?;
    if admins == [user] { Err(AuthError::LastAdmin) } else { Ok(found.user) }
}

/// What the tokens state is no longer so. Whoever is not let in has no sessions either.
fn revoke(
    connection: &mut PgConnection,
    user: UserId,
    new: Standing,
    now: DateTime<Utc>,
) -> Result<Revoked, DbError> {
    let access = Revocations::revoke_access_of_user(connection, user, now)?;
    if new.status == UserStatus::Active {
        return Ok(access);
    }
    Ok(access + Revocations::end_sessions_of_user(connection, user, None, now)?)
}

fn with(event: Event, old: Standing, new: Standing) -> Event {
    event
        .with("old_user_type", old.user_type.as_str())
        .with("user_type", new.user_type.as_str())
        .with("old_status", old.status.as_str())
        .with("status", new.status.as_str())
}
