use std::sync::Arc;

use chrono::{DateTime, Utc};
use slipway_audit::{Action, Event};
use slipway_db::{Database, PgConnection};
use slipway_kernel::{Origin, SharedClock, UserId};
use slipway_models::audit::AuditActor;

use crate::domain::{Email, LetterKind, LinkPurpose, NewProof};
use crate::error::AuthError;
use crate::service::letters::Letters;
use crate::service::{LinkTokens, Passwords, Revocations, Sessions};
use crate::store;
use crate::store::link_tokens::LinkDigest;

/// What people do by links in letters: show that an address is theirs, and choose a new password.
#[derive(Clone)]
pub(crate) struct Recovery {
    db: Database,
    passwords: Passwords,
    letters: Letters,
    tokens: LinkTokens,
    revocations: Revocations,
    clock: SharedClock,
}

impl Recovery {
    /// Takes what `sessions` works with.
    pub(crate) fn beside(sessions: &Sessions, letters: Letters, tokens: LinkTokens) -> Self {
        Self {
            db: sessions.db.clone(),
            passwords: sessions.passwords.clone(),
            letters,
            tokens,
            revocations: sessions.revocations.clone(),
            clock: Arc::clone(&sessions.clock),
        }
    }

    /// Orders a letter with a link to choose a new password. For every address the same is done: whether it has an
    /// account is looked up when the letter is sent.
    pub(crate) async fn forgot(&self, email: Email, origin: Origin) -> Result<(), AuthError> {
        let (letters, now) = (self.letters.clone(), self.clock.now());
        self.db
            .transaction("letter.order_reset", move |connection| {
                let event = Event::new(Action::PASSWORD_FORGOT, AuditActor::Anonymous, now);
                slipway_audit::record(connection, event.from(&origin))?;
                letters.order(connection, LetterKind::ResetPassword, email.as_str(), now)
            })
            .await?;
        self.letters.announce();
        Ok(())
    }

    /// Sets the password of whose link this is. All sessions end, and the address is shown to be theirs.
    pub(crate) async fn reset(&self, token: &str, new: NewProof, origin: Origin) -> Result<(), AuthError> {
        let turn = self.passwords.turn()?;
        let (digest, now) = (self.tokens.digest(token), self.clock.now());
        let found = self
            .db
            .run("link_token.find", move |connection| {
                store::link_tokens::find(connection, LinkPurpose::ResetPassword, &digest, now)
                    .map_err(AuthError::from)
            })
            .await?;
        if found.is_none() {
            return Err(AuthError::InvalidLink);
        }
        let hash = self.passwords.hash(turn, &new).await?;
        let now = self.clock.now();
        let revoked = self
            .db
            .transaction("user.reset_password", move |connection| {
                let user = redeem(connection, LinkPurpose::ResetPassword, &digest, now)?;
                store::users::update_password(connection, user, &hash, new.kdf())?;
                store::users::update_email_verified(connection, user)?;
                let event = by_link(Action::PASSWORD_RESET, user, now).from(&origin);
                slipway_audit::record(connection, event.with("blind", new.kdf().is_some()))?;
                let sessions = Revocations::end_sessions_of_user(connection, user, None, now)?;
                let access = Revocations::revoke_access_of_user(connection, user, now)?;
                Ok::<_, AuthError>(sessions + access)
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(())
    }

    /// Takes the address of whose link this is for theirs.
    pub(crate) async fn verify_email(&self, token: &str, origin: Origin) -> Result<(), AuthError> {
        let (digest, now) = (self.tokens.digest(token), self.clock.now());
        self.db
            .transaction("user.verify_email", move |connection| {
                let user = redeem(connection, LinkPurpose::VerifyEmail, &digest, now)?;
                store::users::update_email_verified(connection, user)?;
                let event = by_link(Action::EMAIL_VERIFY, user, now).from(&origin);
                Ok(slipway_audit::record(connection, event)?)
            })
            .await
    }
}

/// Uses a link up, and returns whose it was. The account is locked before the link: so does whatever else ends links, and
/// neither waits for the other in a circle.
fn redeem(
    connection: &mut PgConnection,
    purpose: LinkPurpose,
    digest: &LinkDigest,
    now: DateTime<Utc>,
) -> Result<UserId, AuthError> {
    let user = store::link_tokens::find(connection, purpose, digest, now)?.ok_or(AuthError::InvalidLink)?;
    store::users::lock_credentials(connection, user)?.ok_or(AuthError::InvalidLink)?;
    store::link_tokens::delete(connection, purpose, digest, now)?.ok_or(AuthError::InvalidLink)
}

/// Whoever opens the link reads the person's mail: that is taken for the person.
fn by_link(action: Action, user: UserId, now: DateTime<Utc>) -> Event {
    Event::new(action, AuditActor::User { id: user }, now).on("user", &user)
}
