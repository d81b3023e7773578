use slipway_db::Database;
use slipway_jwt::Jwks;
use slipway_kernel::{Page, PageRequest, SessionId, SharedClock, UserId};
use slipway_models::auth::{SessionBody, TokenAnswer, UserStatus};

use crate::domain::{Login, Session, SessionDetails, User};
use crate::error::AuthError;
use crate::service::passwords::Comparison;
use crate::service::revocations::Revoked;
use crate::service::rotation::{Rotation, rotate};
use crate::service::tokens::Granted;
use crate::service::{DetailsSeal, Passwords, Revocations, TokenOperations, Tokens};
use crate::store;
use crate::store::users::Credentials;

/// Signs people in and out, and keeps their sessions going.
#[derive(Clone)]
pub(crate) struct Sessions {
    pub(crate) db: Database,
    pub(crate) passwords: Passwords,
    pub(crate) tokens: Tokens,
    pub(crate) seal: DetailsSeal,
    pub(crate) revocations: Revocations,
    pub(crate) operations: TokenOperations,
    pub(crate) clock: SharedClock,
}

impl Sessions {
    /// Returns the public keys of access tokens.
    pub(crate) fn jwks(&self) -> &Jwks {
        self.tokens.jwks()
    }

    /// Starts a session for the right password. What is wrong with an account is told only after that.
    /// `None` stands for what can name no account.
    pub(crate) async fn login(
        &self,
        login: Option<Login>,
        password: &str,
        details: &SessionDetails,
    ) -> Result<TokenAnswer, AuthError> {
        let found = self
            .db
            .run("user.find_credentials", move |connection| {
                let found = login.map(|login| store::users::find_credentials(connection, &login));
                Ok::<_, AuthError>(found.transpose()?.flatten())
            })
            .await?;
        let hash = found.as_ref().map(|credentials| credentials.password_hash.clone());
        let comparison = self.passwords.compare(password, hash).await?;
        match (found, comparison) {
            (Some(found), Comparison::Right) => self.start(found, None, details).await,
            (Some(found), Comparison::Outdated(hash)) => self.start(found, Some(hash), details).await,
            _ => Err(AuthError::InvalidCredentials),
        }
    }

    /// Takes a refresh token for the next one and a new access token.
    pub(crate) async fn refresh(&self, token: &str) -> Result<TokenAnswer, AuthError> {
        let Some(known) = self.tokens.refresh.read(token) else {
            self.operations.expired();
            return Err(AuthError::RefreshExpired);
        };
        let successor = self.tokens.refresh.successor(&known.token);
        let now = self.clock.now();
        let rotation = self
            .db
            .transaction("session.refresh", move |connection| {
                rotate(connection, &known.digest, successor, now)
            })
            .await?;
        match rotation {
            Rotation::Next(granted) => {
                self.operations.refreshed();
                self.tokens.sign(*granted, now).await
            }
            Rotation::Again(granted) => {
                self.operations.replayed();
                self.tokens.sign(*granted, now).await
            }
            Rotation::Expired => {
                self.operations.expired();
                Err(AuthError::RefreshExpired)
            }
            Rotation::Reused(session, revoked) => {
                self.operations.reused();
                self.revocations.announce(revoked);
                tracing::warn!(session.id = %session.id, "a refresh token was used twice: its session is ended");
                Err(AuthError::RefreshReused)
            }
        }
    }

    /// Ends a session. Ending one that has ended is a no-op.
    pub(crate) async fn logout(&self, owner: UserId, session: SessionId) -> Result<(), AuthError> {
        let now = self.clock.now();
        let revoked = self
            .db
            .run("session.revoke", move |connection| {
                Revocations::end_session(connection, owner, session, now).map_err(AuthError::from)
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(())
    }

    /// Ends the session of a refresh token: its holder's access token may be over. A text that is none ends nothing.
    pub(crate) async fn logout_by_token(&self, token: &str) -> Result<(), AuthError> {
        let Some(known) = self.tokens.refresh.read(token) else { return Ok(()) };
        let now = self.clock.now();
        let revoked = self
            .db
            .transaction("session.revoke_by_token", move |connection| {
                let Some(found) = store::refresh_tokens::find(connection, &known.digest)? else {
                    return Ok(Revoked::default());
                };
                let Some(session) = store::sessions::lock(connection, found.session_id)? else {
                    return Ok(Revoked::default());
                };
                Revocations::end_session(connection, session.user_id, session.id, now)
                    .map_err(AuthError::from)
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(())
    }

    /// Ends all sessions of a user.
    pub(crate) async fn logout_all(&self, owner: UserId) -> Result<(), AuthError> {
        let now = self.clock.now();
        let revoked = self
            .db
            .run("session.revoke_all", move |connection| {
                Revocations::end_sessions_of_user(connection, owner, None, now).map_err(AuthError::from)
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(())
    }

    /// Lists the sessions of `owner` that have not ended, newest first. `current` is the one that asks.
    pub(crate) async fn list(
        &self,
        owner: UserId,
        current: SessionId,
        page: PageRequest,
    ) -> Result<Page<SessionBody>, AuthError> {
        let now = self.clock.now();
        let rows = self
            .db
            .run("session.list_live", move |connection| {
                store::sessions::list_live(connection, owner, now, &page).map_err(AuthError::from)
            })
            .await?;
        let page = Page::from_rows(rows, &page, |stored| stored.session.id.as_uuid());
        Ok(page.map(|stored| {
            let Session { id, created_at, last_used_at, expires_at, .. } = stored.session;
            let SessionDetails { address, agent } = self.seal.open(id, stored.sealed_details.as_deref());
            let address = address.map(|address| address.to_string());
            SessionBody { id, created_at, last_used_at, expires_at, address, agent, current: id == current }
        }))
    }

    /// Ends one session of `owner`, by its id.
    pub(crate) async fn end(&self, owner: UserId, id: SessionId) -> Result<(), AuthError> {
        let now = self.clock.now();
        let revoked = self
            .db
            .transaction("session.end", move |connection| {
                let session = store::sessions::lock(connection, id)?;
                let own = session.filter(|session| session.user_id == owner);
                let session = own.ok_or(AuthError::SessionNotFound)?;
                Revocations::end_session(connection, owner, session.id, now).map_err(AuthError::from)
            })
            .await?;
        self.revocations.announce(revoked);
        Ok(())
    }

    /// Starts a session of the account whose password was `compared`. Comparing took its time: what the account has
    /// become meanwhile counts.
    async fn start(
        &self,
        compared: Credentials,
        new_hash: Option<String>,
        details: &SessionDetails,
    ) -> Result<TokenAnswer, AuthError> {
        let now = self.clock.now();
        let user_id = compared.user.id;
        let session = Session::start(user_id, now);
        let first = self.tokens.refresh.first()?;
        let access = Tokens::next_access(now);
        let sealed = self.seal.seal(session.id, details)?;
        let started = session.clone();
        let user = self
            .db
            .transaction("session.start", move |connection| {
                let current = store::users::lock_credentials(connection, user_id)?;
                let user = admit(current, &compared.password_hash)?;
                store::sessions::insert(connection, &started, &sealed)?;
                store::refresh_tokens::insert(connection, &first.digest, started.id, now)?;
                store::access_tokens::insert(connection, access, &first.digest)?;
                store::users::update_last_login(connection, user_id, now)?;
                if let Some(hash) = new_hash {
                    store::users::update_password_hash(connection, user_id, &hash)?;
                }
                Ok::<_, AuthError>(user)
            })
            .await?;
        self.operations.issued();
        self.tokens.sign(Granted { user, session, refresh: first.token, access_id: access.id }, now).await
    }
}

/// Admits an account to a session, unless its password is another by now or it may not sign in.
fn admit(current: Option<Credentials>, compared_hash: &str) -> Result<User, AuthError> {
    let user = current
        .filter(|current| current.password_hash == compared_hash)
        .map(|current| current.user)
        .ok_or(AuthError::InvalidCredentials)?;
    match user.status {
        UserStatus::Active => Ok(user),
        UserStatus::Pending => Err(AuthError::AccountPending),
        UserStatus::Disabled => Err(AuthError::AccountDisabled),
    }
}
