use std::sync::Arc;

use slipway_audit::{Action, Event};
use slipway_db::Database;
use slipway_kernel::{Origin, SessionId, SharedClock, UserId};
use slipway_models::audit::AuditActor;

use crate::domain::{LinkPurpose, NewProof, Proof};
use crate::error::AuthError;
use crate::service::passwords::Comparison;
use crate::service::sessions::admit;
use crate::service::{Passwords, Revocations, Sessions};
use crate::store;
use crate::store::users::Credentials;

/// Puts a new password in the place of the old one.
#[derive(Clone)]
pub(crate) struct PasswordChanges {
    db: Database,
    passwords: Passwords,
    revocations: Revocations,
    clock: SharedClock,
}

impl PasswordChanges {
    /// Takes what `sessions` works with.
    pub(crate) fn beside(sessions: &Sessions) -> Self {
        Self {
            db: sessions.db.clone(),
            passwords: sessions.passwords.clone(),
            revocations: sessions.revocations.clone(),
            clock: Arc::clone(&sessions.clock),
        }
    }

    /// Changes the password of `user`, who shows the one that counts until now. All sessions but `session` end.
    pub(crate) async fn change(
        &self,
        user: UserId,
        session: SessionId,
        current: &Proof,
        new: NewProof,
        origin: Origin,
    ) -> Result<(), AuthError> {
        let turn = self.passwords.turn()?;
        let found = self
            .db
            .run("user.find_credentials_by_id", move |connection| {
                store::users::find_credentials_by_id(connection, user).map_err(AuthError::from)
            })
            .await?;
        let hash = found.as_ref().map(|found| found.password_hash.clone());
        match (found, self.passwords.compare(turn, current, hash).await?) {
            (None, _) | (_, Comparison::Wrong) => {
                self.record_refusal(user, origin).await?;
                Err(AuthError::InvalidCredentials)
            }
            (Some(found), Comparison::Right | Comparison::Outdated(_)) => {
                self.put(found, session, new, origin).await
            }
        }
    }

    /// The password may have become another while it was compared: that one stays. A link to choose another works no more.
    async fn put(
        &self,
        compared: Credentials,
        session: SessionId,
        new: NewProof,
        origin: Origin,
    ) -> Result<(), AuthError> {
        let hash = self.passwords.hash(self.passwords.turn()?, &new).await?;
        let (user, now) = (compared.user.id, self.clock.now());
        let revoked = self
            .db
            .transaction("user.change_password", move |connection| {
                let current = store::users::lock_credentials(connection, user)?;
                admit(current, &compared.password_hash, false)?;
                store::users::update_password(connection, user, &hash, new.kdf())?;
                store::link_tokens::delete_of_user(connection, user, LinkPurpose::ResetPassword)?;
                let event = Event::new(Action::PASSWORD_CHANGE, AuditActor::User { id: user }, now);
                let event = event.from(&origin).on("user", &user).with("blind", new.kdf().is_some());
                slipway_audit::record(connection, event)?;
                Ok::<_, AuthError>(Revocations::end_sessions_of_user(connection, user, Some(session), now)?)
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(())
    }

    async fn record_refusal(&self, user: UserId, origin: Origin) -> Result<(), AuthError> {
        let actor = AuditActor::User { id: user };
        let event = Event::new(Action::PASSWORD_CHANGE_FAILED, actor, self.clock.now());
        self.db
            .run("user.record_refused_password_change", move |connection| {
                Ok(slipway_audit::record(connection, event.from(&origin).on("user", &user))?)
            })
            .await
    }
}
