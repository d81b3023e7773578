//! API keys that are shown to the gateway (ADR 24): auth is asked once, and what it said is remembered.
//!
//! An answer is gone by for a minute, or until the news from auth concern its key or the key's owner. Keys that auth does
//! not know are remembered apart, and for a few seconds, so that made-up ones displace no good one.

mod flights;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use quick_cache::sync::Cache;
use slipway_jwt::{ApiKeyFingerprint, IdentitySigner, KeyError, RevokedTokens, SignedIdentities};
use slipway_kernel::SharedClock;
use slipway_models::api_keys::{ApiKeyAnswer, ApiKeyQuestion, KnownApiKey};
use slipway_telemetry::{IntCounterVec, Metrics, MetricsError};

use self::flights::Flights;
use crate::routes::Service;
use crate::upstream::{Bounds, Client, UpstreamError};

/// How long an answer is gone by. A little more than auth's minute between two notes of a key's use.
const KNOWN_FOR: TimeDelta = TimeDelta::seconds(65);
const UNKNOWN_FOR: TimeDelta = TimeDelta::seconds(10);
const UNKNOWN: usize = 10_000;
/// How many keys auth is asked for at a time that it did not know or was not asked for before.
const STRANGERS: usize = 32;
/// How many in all: so many as are left are for keys that were good a moment ago.
const IN_ALL: usize = 64;
const BOUNDS: Bounds = Bounds { within: Duration::from_secs(5), bytes: 64 * 1024 };

/// The API keys that the gateway knows.
pub(crate) struct ApiKeys {
    asking: Asking,
    revoked: Arc<RevokedTokens>,
    clock: SharedClock,
    known: Cache<ApiKeyFingerprint, Arc<Known>>,
    /// With the times at which auth did not know them.
    unknown: Cache<ApiKeyFingerprint, DateTime<Utc>>,
    flights: Flights<ApiKeyFingerprint, Outcome>,
    lookups: IntCounterVec,
}

/// How auth is asked.
pub(crate) struct Asking {
    pub(crate) client: Client,
    pub(crate) auth: Arc<Service>,
    pub(crate) signer: Arc<IdentitySigner>,
}

/// What auth said of a key.
pub(crate) struct Known {
    pub(crate) key: KnownApiKey,
    /// The owner's apps that the key has scopes of, as identities hold them.
    pub(crate) apps: Arc<[String]>,
    pub(crate) handle: Arc<str>,
    /// What was signed for whoever shows it.
    pub(crate) identities: SignedIdentities,
    asked_at: DateTime<Utc>,
}

/// What a question came to; the cause where it came to nothing.
type Outcome = Result<Option<Arc<Known>>, Arc<str>>;

/// Says why a key cannot be gone by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyFault {
    /// Auth does not know it.
    #[error("the API key is not known: it was deleted, has expired, or its owner may not sign in")]
    Unknown,
    /// Too many keys are being asked for.
    #[error("too many API keys are shown that are not known; try again shortly")]
    TooMany,
    /// Auth did not say.
    #[error("auth did not say what an API key is: {0}")]
    NotTold(Arc<str>),
}

/// Says that auth has to be asked.
struct NotRemembered;

/// Says why auth did not answer.
#[derive(Debug, thiserror::Error)]
enum NotTold {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("auth answered {0}")]
    Status(StatusCode),
    #[error("the answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
    #[error(transparent)]
    Signing(#[from] KeyError),
    #[error(transparent)]
    Request(#[from] http::Error),
}

impl ApiKeys {
    /// Remembers up to `capacity` keys that are good.
    pub(crate) fn new(
        asking: Asking,
        revoked: Arc<RevokedTokens>,
        clock: SharedClock,
        capacity: usize,
        metrics: &Metrics,
    ) -> Result<Self, MetricsError> {
        let name = "gateway_api_key_lookups_total";
        let lookups = metrics.counter(name, "What auth was asked for API keys.", &["outcome"])?;
        for outcome in ["known", "unknown", "failed", "refused"] {
            lookups.with_label_values(&[outcome]).inc_by(0);
        }
        Ok(Self {
            asking,
            revoked,
            clock,
            known: Cache::new(capacity),
            unknown: Cache::new(UNKNOWN),
            flights: Flights::new(),
            lookups,
        })
    }

    /// Finds what a key is, of the text that was shown.
    pub(crate) async fn find(&self, shown: &str) -> Result<Arc<Known>, KeyFault> {
        let fingerprint = ApiKeyFingerprint::of(shown).ok_or(KeyFault::Unknown)?;
        let mut found = match self.remembered(&fingerprint) {
            Ok(remembered) => remembered,
            Err(NotRemembered) => self.ask(fingerprint).await?,
        };
        if found.as_ref().is_some_and(|known| self.is_overtaken(known)) {
            // The news came while auth was being asked: what it said then may be from before them.
            found = self.ask(fingerprint).await?;
        }
        let good = |known: &Arc<Known>| !self.is_overtaken(known) && self.clock.now() < known.key.expires_at;
        found.filter(good).ok_or(KeyFault::Unknown)
    }

    /// Asks auth, unless somebody just does for the same key.
    async fn ask(&self, fingerprint: ApiKeyFingerprint) -> Result<Option<Arc<Known>>, KeyFault> {
        let most = if self.known.peek(&fingerprint).is_some() { IN_ALL } else { STRANGERS };
        let Some(flight) = self.flights.join(fingerprint, most) else {
            self.lookups.with_label_values(&["refused"]).inc();
            return Err(KeyFault::TooMany);
        };
        let asked = flight.land(async {
            // Another flight may have landed since this one was looked for.
            if let Ok(remembered) = self.remembered(&fingerprint) {
                return Ok(remembered);
            }
            let asked_at = self.clock.now();
            let answer = self.asking.ask(&fingerprint).await;
            let outcome = match &answer {
                Ok(Some(_)) => "known",
                Ok(None) => "unknown",
                Err(_) => "failed",
            };
            self.lookups.with_label_values(&[outcome]).inc();
            let key = answer.map_err(|fault| Arc::from(fault.to_string()))?;
            Ok(self.remember(fingerprint, key, asked_at))
        });
        asked.await.map_err(KeyFault::NotTold)
    }

    /// Tells whether news of the key or its owner came after auth was asked.
    pub(crate) fn is_overtaken(&self, Known { key, asked_at, .. }: &Known) -> bool {
        self.revoked.covers_key(key.id, key.user_id, key.generation, *asked_at)
    }

    /// Tells whether a key is remembered as a good one.
    pub(crate) fn has_seen(&self, key: &str) -> bool {
        let known = |fingerprint| matches!(self.remembered(&fingerprint), Ok(Some(_)));
        ApiKeyFingerprint::of(key).is_some_and(known)
    }

    /// Returns what is known of a key, be it that there is none.
    fn remembered(&self, fingerprint: &ApiKeyFingerprint) -> Result<Option<Arc<Known>>, NotRemembered> {
        let now = self.clock.now();
        if let Some(known) = self.known.get(fingerprint) {
            let is_fresh = now - known.asked_at < KNOWN_FOR && !self.is_overtaken(&known);
            return if is_fresh { Ok(Some(known)) } else { Err(NotRemembered) };
        }
        let unknown_at = self.unknown.get(fingerprint).ok_or(NotRemembered)?;
        if now - unknown_at < UNKNOWN_FOR { Ok(None) } else { Err(NotRemembered) }
    }

    fn remember(
        &self,
        fingerprint: ApiKeyFingerprint,
        key: Option<KnownApiKey>,
        asked_at: DateTime<Utc>,
    ) -> Option<Arc<Known>> {
        let Some(key) = key else {
            self.known.remove(&fingerprint);
            self.unknown.insert(fingerprint, asked_at);
            return None;
        };
        let (apps, handle) = (key.apps.iter().cloned().collect(), key.handle.as_str().into());
        let known = Arc::new(Known { key, apps, handle, identities: SignedIdentities::default(), asked_at });
        self.known.insert(fingerprint, Arc::clone(&known));
        Some(known)
    }
}

impl Asking {
    async fn ask(&self, fingerprint: &ApiKeyFingerprint) -> Result<Option<KnownApiKey>, NotTold> {
        let identity = self.signer.for_service(&self.auth.name)?;
        let question = serde_json::to_vec(&ApiKeyQuestion { fingerprint: fingerprint.to_string() })?;
        let request = Request::post("/internal/api-keys")
            .header(AUTHORIZATION, format!("Bearer {identity}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(question).into())?;
        let answer = self.client.ask(&self.auth.replicas, &request, BOUNDS).await?;
        if answer.status() != StatusCode::OK {
            return Err(NotTold::Status(answer.status()));
        }
        let ApiKeyAnswer { key } = serde_json::from_slice(&answer.into_body())?;
        Ok(key)
    }
}
