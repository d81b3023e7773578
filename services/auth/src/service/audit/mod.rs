//! The audit log: what every service tells of, each row chained to the one before.

mod heads;
mod verification;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use slipway_db::{Database, DbError, PgConnection};
use slipway_jwt::SecretKey;
use slipway_kernel::{Page, PageRequest, SharedClock};
use slipway_models::audit::{AuditEntryBody, AuditEvent};
use slipway_sealing::AddressSeal;
use slipway_telemetry::spawn_blocking;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::Span;
use uuid::Uuid;

use crate::domain::{AuditFilter, AuditRow, Tip};
use crate::error::AuthError;
use crate::store;
use heads::Heads;

/// How often auth's own events are put onto the log.
const TAKE_EVERY: Duration = Duration::from_millis(500);
/// How many of them one transaction takes.
const TAKEN_AT_ONCE: i64 = 200;

const ROW: &str = "audit-row";

/// What becomes of the heads of the log.
#[derive(Debug, Clone)]
pub(crate) struct AuditSettings {
    /// The file that signed heads are added to.
    pub(crate) heads_file: Option<PathBuf>,
    /// How often one is.
    pub(crate) heads_every: Duration,
}

/// The one writer and reader of the log. Cheap to clone.
///
/// It remembers how far the log went. Where the table has less, rows were taken away: the next row's place leaves the
/// gap for all to see. See `proto-docs/adr/0021-an-audit-trail-that-shows-what-was-done-to-it.md`.
#[derive(Clone)]
pub(crate) struct AuditLog {
    db: Database,
    clock: SharedClock,
    key: Arc<SecretKey>,
    addresses: AddressSeal,
    heads: Option<Arc<Heads>>,
    /// The last row that a signed head or this process knows of.
    known: Arc<Mutex<Tip>>,
    verifying: Arc<tokio::sync::Mutex<()>>,
}

/// What keeps the log in the background.
pub(crate) struct Keeping {
    log: AuditLog,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeping {
    /// Ends it: takes what there is for the last time, and signs the head. For the stop.
    pub(crate) async fn settle(self) {
        self.stop.cancel();
        if let Err(fault) = self.task.await {
            tracing::error!(error = %fault, "what keeps the audit log did not come to its end");
        }
        self.log.take_own_or_warn().await;
        self.log.sign_head().await;
    }
}

impl AuditLog {
    /// Opens the log, and reads how far it went. Blocking.
    pub(crate) fn open(
        db: Database,
        clock: SharedClock,
        key: Arc<SecretKey>,
        addresses: AddressSeal,
        settings: &AuditSettings,
    ) -> std::io::Result<Self> {
        let heads = settings.heads_file.clone().map(|path| Arc::new(Heads::new(path, Arc::clone(&key))));
        let known = if let Some(heads) = &heads {
            heads.last()?
        } else {
            tracing::warn!("AUDIT_HEADS_FILE is not set: a cut end of the audit log will not be noticed");
            Tip::START
        };
        Ok(Self {
            db,
            clock,
            key,
            addresses,
            heads,
            known: Arc::new(Mutex::new(known)),
            verifying: Arc::default(),
        })
    }

    /// Puts onto the log what a service tells of. What is on it already is passed over.
    pub(crate) async fn take(&self, service: String, events: Vec<AuditEvent>) -> Result<(), AuthError> {
        let (log, now) = (self.clone(), self.clock.now());
        let added = self
            .db
            .transaction("audit_log.take", move |connection| {
                store::audit_log::lock(connection)?;
                log.append(connection, &service, events, now)
            })
            .await?;
        self.know(added);
        Ok(())
    }

    /// Puts auth's own events onto the log, all that there are.
    pub(crate) async fn take_own(&self) -> Result<(), AuthError> {
        loop {
            let (log, now) = (self.clone(), self.clock.now());
            let added = self
                .db
                .transaction("audit_log.take_own", move |connection| {
                    store::audit_log::lock(connection)?;
                    let events = slipway_audit::take(connection, TAKEN_AT_ONCE, &log.addresses)?;
                    log.append(connection, "auth", events, now)
                })
                .await?;
            if added.is_none() {
                return Ok(());
            }
            self.know(added);
        }
    }

    /// Takes auth's own events and signs heads in the background. What it has begun it ends: rows that were added and
    /// not noted would not be signed.
    pub(crate) fn keep(self, heads_every: Duration, stop: &CancellationToken) -> Keeping {
        let stop = stop.child_token();
        let task = tokio::spawn(self.clone().keep_until(heads_every, stop.clone()));
        Keeping { log: self, stop, task }
    }

    async fn keep_until(self, heads_every: Duration, stop: CancellationToken) {
        let (mut own, mut head) = (interval(TAKE_EVERY), interval(heads_every));
        own.set_missed_tick_behavior(MissedTickBehavior::Delay);
        head.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = own.tick() => self.take_own_or_warn().await,
                _ = head.tick() => self.sign_head().await,
            }
        }
    }

    /// Lists rows, newest first.
    pub(crate) async fn list(
        &self,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<AuditEntryBody>, AuthError> {
        let rows = self
            .db
            .run("audit_log.list", move |connection| {
                Ok::<_, AuthError>(store::audit_log::list(connection, filter, &page)?)
            })
            .await?;
        let place = |row: &AuditRow| Uuid::from_u128(u128::from(row.seq.unsigned_abs()));
        Ok(Page::from_rows(rows, &page, place).map(|row| self.shown(row)))
    }

    /// Shows a row, with its address opened.
    fn shown(&self, row: AuditRow) -> AuditEntryBody {
        let opened =
            row.sealed_address().map(|sealed| self.addresses.open(&row.event_id.to_string(), sealed));
        let seq = row.seq;
        let mut body = AuditEntryBody::from(row);
        match opened {
            Some(Ok(address)) => body.event.address = Some(address),
            Some(Err(fault)) => {
                tracing::error!(error = %fault, audit.seq = seq, "the address of a row does not open");
            }
            None => {}
        }
        body
    }

    /// Adds rows under the lock; returns the last. Places go on from what is known, even where rows are gone.
    fn append(
        &self,
        connection: &mut PgConnection,
        service: &str,
        events: Vec<AuditEvent>,
        now: DateTime<Utc>,
    ) -> Result<Option<Tip>, AuthError> {
        let events = not_yet_known(connection, events)?;
        if events.is_empty() {
            return Ok(None);
        }
        let mut tip = self.end_of(store::audit_log::find_tip(connection)?);
        let mut rows = Vec::with_capacity(events.len());
        for event in events {
            let id = event.id.to_string();
            let address = event.address.map(|address| self.addresses.seal(&id, address)).transpose()?;
            let mut row = AuditRow::new(tip.seq + 1, service, event, address, now);
            tip = Tip { seq: row.seq, hash: self.key.digest(ROW, &row.hashed_bytes(&tip.hash)) };
            row.hash = tip.hash.to_vec();
            rows.push(row);
        }
        store::audit_log::insert(connection, rows)?;
        Ok(Some(tip))
    }

    /// Returns what the next row follows: the table's last row, or a later one that is known to have been there.
    fn end_of(&self, stored: Tip) -> Tip {
        let known = *self.known();
        if known.seq <= stored.seq {
            return stored;
        }
        tracing::error!(audit.known = known.seq, audit.stored = stored.seq, "rows of the audit log are gone");
        known
    }

    fn know(&self, added: Option<Tip>) {
        let mut known = self.known();
        if let Some(added) = added.filter(|added| added.seq > known.seq) {
            *known = added;
        }
    }

    fn known(&self) -> MutexGuard<'_, Tip> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_own_or_warn(&self) {
        if let Err(fault) = self.take_own().await {
            tracing::warn!(error = %fault, "audit events wait: they were not put onto the log");
        }
    }

    /// Signs what this process knows, and not what the table says: that may have been tampered with.
    async fn sign_head(&self) {
        let Some(heads) = self.heads.clone() else { return };
        let (tip, now) = (*self.known(), self.clock.now());
        let signed = spawn_blocking(Span::current(), move || heads.add(tip, now)).await;
        let outcome = signed.map_err(AuthError::from).and_then(|written| Ok(written?));
        if let Err(fault) = outcome {
            tracing::error!(error = %fault, "the head of the audit log was not signed");
        }
    }
}

/// Leaves out the events that are on the log, and what is told twice in one go.
fn not_yet_known(connection: &mut PgConnection, events: Vec<AuditEvent>) -> Result<Vec<AuditEvent>, DbError> {
    let ids: Vec<Uuid> = events.iter().map(|event| event.id.as_uuid()).collect();
    let mut seen: HashSet<Uuid> = store::audit_log::list_known(connection, &ids)?.into_iter().collect();
    Ok(events.into_iter().filter(|event| seen.insert(event.id.as_uuid())).collect())
}
