//! What the gateway keeps hearing from auth: the keys of access tokens, and which tokens were revoked.
//!
//! It asks twice a second, and at once when it is nudged. A nudge says only that there is news: what is lost with one is
//! time, and no revocation.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use slipway_jwt::{AccessVerifier, IdentitySigner, Jwks, KeyError, RevokedTokens};
use slipway_kernel::SharedClock;
use slipway_models::auth::RevocationFeed;
use slipway_redis::Listener;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::routes::Service;
use crate::upstream::{self, Bounds, Client, UpstreamError};

/// A logout must reach the gateway within a second.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// Nudges that come within this time of the first are one: however many there are, auth is not asked without a pause.
const GATHER: Duration = Duration::from_millis(20);
/// How soon a key that was withdrawn stops working.
const KEYS_MAX_AGE: Duration = Duration::from_mins(1);
/// How often tokens of unknown keys make the key set be fetched.
const KEYS_MIN_AGE: Duration = Duration::from_secs(1);
/// As many bytes are some 300,000 sessions that ended within the hour.
const BOUNDS: Bounds = Bounds { within: Duration::from_secs(5), bytes: 32 * 1024 * 1024 };

/// The link to auth. Until it has heard once, and when it has not heard for long, no token can be trusted.
pub(crate) struct AuthLink {
    client: Client,
    auth: Arc<Service>,
    signer: Arc<IdentitySigner>,
    verifier: Arc<AccessVerifier>,
    revoked: Arc<RevokedTokens>,
    clock: SharedClock,
    max_age: Duration,
    nudges: Listener,
    heard_at: Mutex<Option<Instant>>,
    keys_renewed_at: tokio::sync::Mutex<Option<Instant>>,
    /// Changes when something was revoked.
    news: watch::Sender<()>,
}

/// What the link is made of.
pub(crate) struct AuthLinkParts {
    pub(crate) auth: Arc<Service>,
    pub(crate) signer: Arc<IdentitySigner>,
    pub(crate) verifier: Arc<AccessVerifier>,
    pub(crate) revoked: Arc<RevokedTokens>,
    pub(crate) clock: SharedClock,
    pub(crate) max_age: Duration,
    pub(crate) nudges: Listener,
}

/// How far the link has listened.
#[derive(Default)]
struct Position {
    cursor: Option<String>,
    keys_fetched_at: Option<Instant>,
}

/// Says that the gateway does not know which sessions have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("auth has not said of late which sessions have ended")]
pub(crate) struct Stale;

/// Says why auth was not heard.
#[derive(Debug, thiserror::Error)]
enum NotHeard {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("auth answered {0}")]
    Status(StatusCode),
    #[error("auth's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Request(#[from] http::Error),
}

impl AuthLink {
    pub(crate) fn new(parts: AuthLinkParts) -> Self {
        let AuthLinkParts { auth, signer, verifier, revoked, clock, max_age, nudges } = parts;
        Self {
            client: Client::new(),
            auth,
            signer,
            verifier,
            revoked,
            clock,
            max_age,
            nudges,
            heard_at: Mutex::default(),
            keys_renewed_at: tokio::sync::Mutex::default(),
            news: watch::Sender::new(()),
        }
    }

    /// Refuses when the news of ended sessions is too old to go by.
    pub(crate) fn check(&self) -> Result<(), Stale> {
        let heard_at = *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner);
        if heard_at.is_some_and(|at| at.elapsed() <= self.max_age) { Ok(()) } else { Err(Stale) }
    }

    /// Tells when something was revoked, for what goes on beyond the look that let it in.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Fetches the key set, because a token names a key that it does not hold. Whoever comes while that is being
    /// done, or within a second of it, takes what it brought.
    pub(crate) async fn renew_keys(&self) {
        let mut renewed_at = self.keys_renewed_at.lock().await;
        if renewed_at.is_some_and(|at| at.elapsed() < KEYS_MIN_AGE) {
            return;
        }
        if let Err(fault) = self.fetch_keys().await {
            tracing::warn!(error = %fault, "the keys of access tokens were not fetched");
        }
        *renewed_at = Some(Instant::now());
    }

    /// Listens until told to stop.
    pub(crate) async fn listen(self: Arc<Self>, stop: CancellationToken) {
        let mut due = interval(POLL_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut position = Position::default();
        let mut silent = false;
        while stop.run_until_cancelled(self.next(&mut due)).await.is_some() {
            let Some(heard) = stop.run_until_cancelled(self.hear(&mut position)).await else { return };
            match &heard {
                Ok(()) if silent => tracing::info!("auth is heard again"),
                Err(fault) if !silent => tracing::warn!(error = %fault, "auth is not heard"),
                _ => {}
            }
            silent = heard.is_err();
        }
    }

    /// Waits until it is time to ask.
    async fn next(&self, due: &mut Interval) {
        tokio::select! {
            _ = due.tick() => {}
            () = self.nudges.nudged() => tokio::time::sleep(GATHER).await,
        }
    }

    async fn hear(&self, position: &mut Position) -> Result<(), NotHeard> {
        if position.keys_fetched_at.is_none_or(|at| at.elapsed() >= KEYS_MAX_AGE) {
            self.fetch_keys().await?;
            position.keys_fetched_at = Some(Instant::now());
        }
        let asked_at = Instant::now();
        let query = position.cursor.as_ref().map(|cursor| format!("?since={cursor}")).unwrap_or_default();
        let feed: RevocationFeed =
            serde_json::from_slice(&self.get(&format!("/internal/revocations{query}")).await?)?;
        let now = self.clock.now();
        let has_news = !feed.revoked.is_empty() || !feed.users.is_empty();
        self.revoked.revoke_sessions(feed.revoked, now);
        self.revoked.revoke_users(feed.users, now);
        if has_news {
            self.news.send_replace(());
        }
        position.cursor = Some(feed.cursor);
        *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked_at);
        Ok(())
    }

    async fn fetch_keys(&self) -> Result<(), NotHeard> {
        let jwks: Jwks = serde_json::from_slice(&self.get("/api/v1/auth/jwks.json").await?)?;
        Ok(self.verifier.replace_keys(&jwks)?)
    }

    async fn get(&self, path: &str) -> Result<Bytes, NotHeard> {
        let identity = self.signer.for_service(&self.auth.name)?;
        let request =
            Request::get(path).header(AUTHORIZATION, format!("Bearer {identity}")).body(upstream::empty())?;
        let answer = self.client.ask(&self.auth.replicas, &request, BOUNDS).await?;
        if answer.status() == StatusCode::OK {
            Ok(answer.into_body())
        } else {
            Err(NotHeard::Status(answer.status()))
        }
    }
}
