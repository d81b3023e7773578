use chrono::{DateTime, Utc};
use slipway_audit::{Action, Event};
use slipway_db::{Database, DbError, PgConnection};
use slipway_jwt::Jwks;
use slipway_kernel::{Origin, Page, PageRequest, SessionId, SharedClock, UserId};
use slipway_models::audit::AuditActor;
use slipway_models::auth::{SessionBody, TokenAnswer, UserStatus, UserType};

use crate::domain::{Login, Proof, Session, SessionDetails, User};
use crate::error::AuthError;
use crate::service::grants::effective;
use crate::service::passwords::Comparison;
use crate::service::revocations::Revoked;
use crate::service::rotation::{Rotation, Together, settle};
use crate::service::tokens::{Granted, KnownToken};
use crate::service::{DetailsSeal, Networks, Passwords, Revocations, TokenOperations, Tokens};
use crate::store;
use crate::store::users::Credentials;

/// Signs people in and out, and keeps their sessions going.
#[derive(Clone)]
pub(crate) struct Sessions {
    pub(crate) db: Database,
    pub(crate) passwords: Passwords,
    pub(crate) tokens: Tokens,
    pub(crate) refreshes: Together,
    pub(crate) seal: DetailsSeal,
    pub(crate) networks: Networks,
    pub(crate) revocations: Revocations,
    pub(crate) operations: TokenOperations,
    /// Whether only those are let in who have shown that their address is theirs.
    pub(crate) email_verification: bool,
    pub(crate) clock: SharedClock,
}

impl Sessions {
    /// Returns the public keys of access tokens.
    pub(crate) fn jwks(&self) -> Jwks {
        self.tokens.jwks()
    }

    /// Starts a session for the right proof. What is wrong with an account is told only after that.
    /// `None` stands for what can name no account.
    pub(crate) async fn login(
        &self,
        login: Option<Login>,
        proof: &Proof,
        details: &SessionDetails,
        origin: Origin,
    ) -> Result<TokenAnswer, AuthError> {
        let turn = self.passwords.turn()?;
        let found = self
            .db
            .run("user.find_credentials", move |connection| {
                let found = login.map(|login| store::users::find_credentials(connection, &login));
                Ok::<_, AuthError>(found.transpose()?.flatten())
            })
            .await?;
        let hash = found.as_ref().map(|credentials| credentials.password_hash.clone());
        let comparison = self.passwords.compare(turn, proof, hash).await?;
        let account = found.as_ref().map(|credentials| credentials.user.id);
        let started = match (found, comparison) {
            (Some(found), Comparison::Right) => self.start(found, None, details, origin.clone()).await,
            (Some(found), Comparison::Outdated(hash)) => {
                self.start(found, Some(hash), details, origin.clone()).await
            }
            _ => Err(AuthError::InvalidCredentials),
        };
        if let Some(reason) = started.as_ref().err().and_then(refusal) {
            self.record_refusal(account, reason, origin).await?;
        }
        started
    }

    /// Takes a refresh token for the next one and a new access token.
    pub(crate) async fn refresh(&self, token: &str, origin: Origin) -> Result<TokenAnswer, AuthError> {
        let Some(known) = self.tokens.refresh.read(token) else {
            self.operations.expired();
            return Err(AuthError::RefreshExpired);
        };
        let successor = self.tokens.refresh.successor(&known.token);
        let now = self.clock.now();
        let rotation = match self.refreshes.use_up(known.digest, successor).await? {
            Ok(granted) => Rotation::Next(Box::new(granted)),
            Err(successor) => self.settle(known, successor, origin, now).await?,
        };
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

    /// Tells what a token gives that could not be used up, and records a theft.
    async fn settle(
        &self,
        known: KnownToken,
        successor: KnownToken,
        origin: Origin,
        now: DateTime<Utc>,
    ) -> Result<Rotation, AuthError> {
        self.db
            .transaction("session.settle_refresh", move |connection| {
                let rotation = settle(connection, &known.digest, successor, now)?;
                if let Rotation::Reused(session, _) = &rotation {
                    let event = Event::new(Action::REFRESH_REUSED, AuditActor::Anonymous, now).from(&origin);
                    let event = event.on("session", &session.id).with("user_id", session.user_id.to_string());
                    slipway_audit::record(connection, event)?;
                }
                Ok(rotation)
            })
            .await
    }

    /// Ends a session. Ending one that has ended is a no-op.
    pub(crate) async fn logout(
        &self,
        owner: UserId,
        session: SessionId,
        origin: Origin,
    ) -> Result<(), AuthError> {
        let now = self.clock.now();
        self.revoke("session.revoke", move |connection| Ok(end(connection, owner, session, &origin, now)?))
            .await
    }

    /// Ends the session of a refresh token: its holder's access token may be over. A text that is none ends nothing.
    pub(crate) async fn logout_by_token(&self, token: &str, origin: Origin) -> Result<(), AuthError> {
        let Some(known) = self.tokens.refresh.read(token) else { return Ok(()) };
        let now = self.clock.now();
        self.revoke("session.revoke_by_token", move |connection| {
            let Some(found) = store::refresh_tokens::find(connection, &known.digest)? else {
                return Ok(Revoked::default());
            };
            let Some(session) = store::sessions::lock(connection, found.session_id)? else {
                return Ok(Revoked::default());
            };
            Ok(end(connection, session.user_id, session.id, &origin, now)?)
        })
        .await
    }

    /// Ends all sessions of a user.
    pub(crate) async fn logout_all(&self, owner: UserId, origin: Origin) -> Result<(), AuthError> {
        let now = self.clock.now();
        self.revoke("session.revoke_all", move |connection| {
            let event = Event::new(Action::LOGOUT_ALL, AuditActor::User { id: owner }, now);
            slipway_audit::record(connection, event.from(&origin).on("user", &owner))?;
            Ok(Revocations::end_sessions_of_user(connection, owner, None, now)?)
        })
        .await
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
    pub(crate) async fn end(&self, owner: UserId, id: SessionId, origin: Origin) -> Result<(), AuthError> {
        let now = self.clock.now();
        self.revoke("session.end", move |connection| {
            let session = store::sessions::lock(connection, id)?;
            let own = session.filter(|session| session.user_id == owner);
            let session = own.ok_or(AuthError::SessionNotFound)?;
            Ok(end(connection, owner, session.id, &origin, now)?)
        })
        .await
    }

    /// Revokes in a transaction, and tells of it once that has committed.
    async fn revoke(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut PgConnection) -> Result<Revoked, AuthError> + Send + 'static,
    ) -> Result<(), AuthError> {
        let revoked = self.db.transaction(operation, work).await?;
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
        origin: Origin,
    ) -> Result<TokenAnswer, AuthError> {
        let now = self.clock.now();
        let user_id = compared.user.id;
        let session = Session::start(user_id, now);
        let first = self.tokens.refresh.first()?;
        let access = Tokens::next_access(now);
        let sealed = self.seal.seal(session.id, details)?;
        let network = details.address.map(|address| self.networks.digest(user_id, address));
        let (started, must_be_verified) = (session.clone(), self.email_verification);
        let (user, apps) = self
            .db
            .transaction("session.start", move |connection| {
                let current = store::users::lock_credentials(connection, user_id)?;
                let user = admit(current, &compared.password_hash, must_be_verified)?;
                store::sessions::insert(connection, &started, &sealed)?;
                if let Some(network) = network {
                    store::sessions::update_network(connection, started.id, &network)?;
                }
                store::refresh_tokens::insert(connection, &first.digest, started.id, now)?;
                store::access_tokens::insert(connection, access, &first.digest)?;
                store::users::update_last_login(connection, user_id, now)?;
                if let Some(hash) = new_hash {
                    store::users::update_password_hash(connection, user_id, &hash)?;
                }
                let event = Event::new(Action::LOGIN, AuditActor::User { id: user_id }, now);
                slipway_audit::record(connection, event.from(&origin).on("session", &started.id))?;
                let apps = effective(connection, &user)?;
                Ok::<_, AuthError>((user, apps))
            })
            .await?;
        self.operations.issued();
        let granted = Granted { user, apps, session, refresh: first.token, access_id: access.id };
        self.tokens.sign(granted, now).await
    }

    /// What was typed as the account's name is not kept: it may be a password in the wrong field.
    async fn record_refusal(
        &self,
        account: Option<UserId>,
        reason: &'static str,
        origin: Origin,
    ) -> Result<(), AuthError> {
        let event = Event::new(Action::LOGIN_FAILED, AuditActor::Anonymous, self.clock.now());
        let event = event.from(&origin).with("reason", reason);
        let event = match account {
            Some(account) => event.on("user", &account),
            None => event,
        };
        self.db
            .run("session.record_refusal", move |connection| Ok(slipway_audit::record(connection, event)?))
            .await
    }
}

/// Ends a session, and records that where it had not ended.
fn end(
    connection: &mut PgConnection,
    owner: UserId,
    session: SessionId,
    origin: &Origin,
    now: DateTime<Utc>,
) -> Result<Revoked, DbError> {
    let revoked = Revocations::end_session(connection, owner, session, now)?;
    if revoked != Revoked::default() {
        let event = Event::new(Action::LOGOUT, AuditActor::User { id: owner }, now);
        slipway_audit::record(connection, event.from(origin).on("session", &session))?;
    }
    Ok(revoked)
}

/// Names what a sign-in was refused for; nothing where it failed otherwise.
fn refusal(error: &AuthError) -> Option<&'static str> {
    match error {
        AuthError::InvalidCredentials => Some("invalid_credentials"),
        AuthError::AccountPending => Some("account_pending"),
        AuthError::AccountDisabled => Some("account_disabled"),
        AuthError::EmailUnverified => Some("email_unverified"),
        _ => None,
    }
}

/// Admits an account to a session, unless its password is another by now or it may not sign in. Admins need not have
/// shown that their address is theirs: the first one's may be none.
pub(super) fn admit(
    current: Option<Credentials>,
    compared_hash: &str,
    must_be_verified: bool,
) -> Result<User, AuthError> {
    let user = current
        .filter(|current| current.password_hash == compared_hash)
        .map(|current| current.user)
        .ok_or(AuthError::InvalidCredentials)?;
    let is_unverified = must_be_verified && !user.email_verified && user.user_type != UserType::Admin;
    match user.status {
        UserStatus::Disabled => Err(AuthError::AccountDisabled),
        UserStatus::Pending | UserStatus::Active if is_unverified => Err(AuthError::EmailUnverified),
        UserStatus::Pending => Err(AuthError::AccountPending),
        UserStatus::Active => Ok(user),
    }
}
