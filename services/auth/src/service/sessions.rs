use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use slipway_audit::{Action, Event};
use slipway_db::{Database, DbError, PgConnection};
use slipway_jwt::{ACCESS_LIFETIME, AccessIssuer, Grant, Jwks, KeyError, SecretKey};
use slipway_kernel::{Origin, SessionId, SharedClock, UserId};
use slipway_models::audit::AuditActor;
use slipway_models::auth::{TokenAnswer, UserStatus};
use slipway_telemetry::spawn_blocking;
use tracing::Span;

use crate::domain::{Login, RefreshToken, Session, User};
use crate::error::AuthError;
use crate::service::Passwords;
use crate::service::passwords::Comparison;
use crate::store;
use crate::store::refresh_tokens::TokenDigest;
use crate::store::users::Credentials;

/// The apps that everyone is granted.
const APPS: [&str; 5] = ["functions", "vault", "documents", "tasks", "workspace"];

const DIGEST: &str = "refresh-token";
const SUCCESSOR: &str = "refresh-successor";

/// How long a used token gives its successor again, as long as that is unused: a lost answer or a double click does
/// no harm. Any other reuse is taken for theft.
const GRACE: TimeDelta = TimeDelta::seconds(10);

/// The least that a transaction is given to commit, before the revocation feed passes over its time.
const SHORTEST_DELAY: TimeDelta = TimeDelta::seconds(30);
/// How many times the database's timeout a transaction can take: it waits for a connection, then for each statement.
const WAITS: i32 = 10;

/// How many sessions one statement deletes.
const PURGED_AT_ONCE: i64 = 500;

/// Signs people in and out, and keeps their sessions going.
#[derive(Clone)]
pub(crate) struct Sessions {
    db: Database,
    passwords: Passwords,
    issuer: Arc<AccessIssuer>,
    key: Arc<SecretKey>,
    clock: SharedClock,
    /// The longest from the time that a change states to its commit.
    delay: TimeDelta,
}

/// The sessions whose access tokens must be refused before they expire.
pub(crate) struct Revocations {
    /// The sessions, with the time after which no token of theirs is valid anyway.
    pub(crate) sessions: Vec<(SessionId, DateTime<Utc>)>,
    /// What the next request starts from.
    pub(crate) next: DateTime<Utc>,
}

struct Granted {
    user: User,
    session: Session,
    token: RefreshToken,
}

enum Refreshed {
    Granted(Box<Granted>),
    Expired,
    Reused(SessionId, UserId),
}

impl Sessions {
    pub(crate) fn new(
        db: Database,
        passwords: Passwords,
        issuer: Arc<AccessIssuer>,
        key: Arc<SecretKey>,
        clock: SharedClock,
    ) -> Self {
        let wait = TimeDelta::from_std(db.timeout()).unwrap_or(SHORTEST_DELAY);
        let delay = SHORTEST_DELAY.max(wait * WAITS);
        Self { db, passwords, issuer, key, clock, delay }
    }

    /// Returns the public keys of access tokens.
    pub(crate) fn jwks(&self) -> &Jwks {
        self.issuer.jwks()
    }

    /// Starts a session for the right password. What is wrong with an account is told only after that.
    /// `None` stands for what can name no account.
    pub(crate) async fn login(
        &self,
        login: Option<Login>,
        password: &str,
        origin: Origin,
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
        let account = found.as_ref().map(|credentials| credentials.user.id);
        let started = match (found, comparison) {
            (Some(found), Comparison::Right) => self.start(found, None, origin.clone()).await,
            (Some(found), Comparison::Outdated(hash)) => self.start(found, Some(hash), origin.clone()).await,
            _ => Err(AuthError::InvalidCredentials),
        };
        if let Some(reason) = started.as_ref().err().and_then(refusal) {
            self.record_refusal(account, reason, origin).await?;
        }
        started
    }

    /// Takes a refresh token for the next one and a new access token.
    pub(crate) async fn refresh(&self, token: &str, origin: Origin) -> Result<TokenAnswer, AuthError> {
        let token = RefreshToken::parse(token).ok_or(AuthError::RefreshExpired)?;
        let digest = self.digest(&token);
        let successor = RefreshToken::from_random(self.key.digest(SUCCESSOR, token.expose().as_bytes()));
        let successor_digest = self.digest(&successor);
        let now = self.clock.now();
        let refreshed = self
            .db
            .transaction("session.refresh", move |connection| {
                let refreshed = rotate(connection, &digest, (successor, successor_digest), now)?;
                if let Refreshed::Reused(session, user) = &refreshed {
                    let event = Event::new(Action::REFRESH_REUSED, AuditActor::Anonymous, now).from(&origin);
                    let event = event.on("session", session).with("user_id", user.to_string());
                    slipway_audit::record(connection, event)?;
                }
                Ok::<_, AuthError>(refreshed)
            })
            .await?;
        match refreshed {
            Refreshed::Granted(granted) => self.answer(*granted).await,
            Refreshed::Expired => Err(AuthError::RefreshExpired),
            Refreshed::Reused(session, _) => {
                tracing::warn!(session.id = %session, "a refresh token was used twice: its session is ended");
                Err(AuthError::RefreshReused)
            }
        }
    }

    /// Ends a session. Ending one that has ended is a no-op.
    pub(crate) async fn logout(
        &self,
        owner: UserId,
        session: SessionId,
        origin: Origin,
    ) -> Result<(), AuthError> {
        let now = self.clock.now();
        self.db
            .transaction("session.revoke", move |connection| {
                if store::sessions::revoke(connection, owner, session, now)? {
                    let event = Event::new(Action::LOGOUT, AuditActor::User { id: owner }, now);
                    slipway_audit::record(connection, event.from(&origin).on("session", &session))?;
                }
                Ok(())
            })
            .await
    }

    /// Lists what was revoked since `since`; without it, all that still matters. What commits late is not missed, as
    /// the feed overlaps; and a token that was signed meanwhile is refused to its end.
    pub(crate) async fn revocations(&self, since: Option<DateTime<Utc>>) -> Result<Revocations, AuthError> {
        let now = self.clock.now();
        let matters = ACCESS_LIFETIME + self.delay;
        let oldest = now - matters;
        let since = since.map_or(oldest, |since| since.max(oldest));
        let revoked = self
            .db
            .run("session.list_revoked", move |connection| {
                store::sessions::list_revoked(connection, since).map_err(AuthError::from)
            })
            .await?;
        let sessions = revoked.into_iter().map(|(id, at)| (id, at + matters)).collect();
        Ok(Revocations { sessions, next: now - self.delay })
    }

    /// Deletes sessions whose end nobody asks about any more; returns how many. It goes in pieces, each well within a
    /// statement's time, so that a long pause is made up for as well.
    pub(crate) async fn purge(&self) -> Result<usize, AuthError> {
        let before = self.clock.now() - TimeDelta::days(1);
        let mut purged = 0;
        loop {
            let deleted = self
                .db
                .run("session.delete_ended", move |connection| {
                    store::sessions::delete_ended(connection, before, PURGED_AT_ONCE).map_err(AuthError::from)
                })
                .await?;
            purged += deleted;
            if deleted == 0 {
                return Ok(purged);
            }
        }
    }

    /// Starts a session of the account whose password was `compared`. Comparing took its time: what the account has
    /// become meanwhile counts.
    async fn start(
        &self,
        compared: Credentials,
        new_hash: Option<String>,
        origin: Origin,
    ) -> Result<TokenAnswer, AuthError> {
        let now = self.clock.now();
        let user_id = compared.user.id;
        let session = Session::start(user_id, now);
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| KeyError::Cryptography)?;
        let token = RefreshToken::from_random(random);
        let digest = self.digest(&token);
        let started = session.clone();
        let user = self
            .db
            .transaction("session.start", move |connection| {
                let current = store::users::lock_credentials(connection, user_id)?;
                let user = admit(current, &compared.password_hash)?;
                store::sessions::insert(connection, &started)?;
                store::refresh_tokens::insert(connection, &digest, started.id, now)?;
                store::users::update_last_login(connection, user_id, now)?;
                if let Some(hash) = new_hash {
                    store::users::update_password_hash(connection, user_id, &hash)?;
                }
                let event = Event::new(Action::LOGIN, AuditActor::User { id: user_id }, now);
                slipway_audit::record(connection, event.from(&origin).on("session", &started.id))?;
                Ok::<_, AuthError>(user)
            })
            .await?;
        self.answer(Granted { user, session, token }).await
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

    async fn answer(&self, granted: Granted) -> Result<TokenAnswer, AuthError> {
        let Granted { user, session, token } = granted;
        let grant = Grant {
            user_id: user.id,
            session_id: session.id,
            email: user.email,
            handle: user.handle.into(),
            user_type: user.user_type,
            apps: APPS.map(str::to_owned).into(),
        };
        let issuer = Arc::clone(&self.issuer);
        let access = spawn_blocking(Span::current(), move || issuer.issue(grant)).await??;
        let now = self.clock.now();
        Ok(TokenAnswer {
            access_token: access.token,
            token_type: "Bearer".to_owned(),
            expires_in: (access.expires_at - now).num_seconds(),
            refresh_token: token.expose().to_owned(),
            refresh_expires_in: (session.expires_at - now).num_seconds(),
            session_id: session.id,
        })
    }

    fn digest(&self, token: &RefreshToken) -> TokenDigest {
        self.key.digest(DIGEST, token.expose().as_bytes())
    }
}

/// Names what a sign-in was refused for; nothing where it failed otherwise.
fn refusal(error: &AuthError) -> Option<&'static str> {
    match error {
        AuthError::InvalidCredentials => Some("invalid_credentials"),
        AuthError::AccountPending => Some("account_pending"),
        AuthError::AccountDisabled => Some("account_disabled"),
        _ => None,
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

/// Uses a token up and inserts its successor, or ends the session that the token was stolen from. The session's row is
/// locked first, so that parallel refreshes of one family go one after another.
fn rotate(
    connection: &mut PgConnection,
    digest: &TokenDigest,
    (successor, successor_digest): (RefreshToken, TokenDigest),
    now: DateTime<Utc>,
) -> Result<Refreshed, AuthError> {
    let Some(known) = store::refresh_tokens::find(connection, digest)? else { return Ok(Refreshed::Expired) };
    let Some(session) = store::sessions::lock(connection, known.session_id)? else {
        return Ok(Refreshed::Expired);
    };
    let user = store::users::find(connection, session.user_id)?;
    let Some(user) = user.filter(|user| user.status == UserStatus::Active && session.is_live(now)) else {
        return Ok(Refreshed::Expired);
    };
    // Read again under the lock: another request may have used it meanwhile.
    let used_at = store::refresh_tokens::find(connection, digest)?.and_then(|token| token.used_at);
    match used_at {
        None => {
            store::refresh_tokens::update_used(connection, digest, now)?;
            store::refresh_tokens::insert(connection, &successor_digest, session.id, now)?;
        }
        Some(at) if now - at < GRACE && is_unused(connection, &successor_digest)? => {}
        Some(_) => {
            store::sessions::revoke(connection, session.user_id, session.id, now)?;
            return Ok(Refreshed::Reused(session.id, session.user_id));
        }
    }
    Ok(Refreshed::Granted(Box::new(Granted { user, session, token: successor })))
}

fn is_unused(connection: &mut PgConnection, digest: &TokenDigest) -> Result<bool, DbError> {
    Ok(store::refresh_tokens::find(connection, digest)?.is_some_and(|token| token.used_at.is_none()))
}
