use std::sync::Arc;
use std::time::Duration;

use slipway_clients::{AuditClient, ClientError, SetupError};
use slipway_config::Reader;
use slipway_db::{Database, DbError};
use slipway_jwt::{IdentitySigner, KeyError, ServiceName};
use slipway_models::audit::AuditBatch;
use slipway_sealing::AddressSeal;
use tokio_util::sync::CancellationToken;

use crate::store;

/// How often the outbox is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long to wait at the most for an auth that is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Well below what auth takes in one body: an event has some 5 KiB at the most.
const BATCH: i64 = 100;

/// Where auth is.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    url: String,
}

impl AuditConfig {
    /// Reads `AUTH_URL` (this machine, `AUTH_PORT`, 8101).
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let port = reader.or("AUTH_PORT", 8101_u16);
        let url = reader.or("AUTH_URL", format!("http://127.0.0.1:{port}"));
        if let Err(fault) = AuditClient::new(&url) {
            reader.refuse("AUTH_URL", format_args!("cannot be used: {fault}"));
        }
        Self { url }
    }

    /// Returns where auth serves.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Carries a service's events to auth: in order, and at least once.
pub struct Forwarder {
    db: Database,
    auth: AuditClient,
    signer: Arc<IdentitySigner>,
    audience: ServiceName,
    seal: AddressSeal,
}

/// Says why events are still to be told.
#[derive(Debug, thiserror::Error)]
enum NotDelivered {
    #[error(transparent)]
    Auth(#[from] ClientError),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Signing(#[from] KeyError),
}

impl Forwarder {
    /// Makes the forwarder of the service that `signer` signs for; `audience` is auth's name, and `seal` that of the
    /// requests that events come from.
    pub fn new(
        db: Database,
        config: &AuditConfig,
        signer: Arc<IdentitySigner>,
        audience: ServiceName,
        seal: AddressSeal,
    ) -> Result<Self, SetupError> {
        Ok(Self { db, auth: AuditClient::new(&config.url)?, signer, audience, seal })
    }

    /// Carries events until the service stops. What it has not told by then, the next start tells.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = LOOK_EVERY;
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let Some(told) = stop.run_until_cancelled(self.tell_all()).await else { return };
            match told {
                Ok(()) if pause > LOOK_EVERY => {
                    tracing::info!("audit events are told again");
                    pause = LOOK_EVERY;
                }
                Ok(()) => {}
                Err(fault) => {
                    if pause == LOOK_EVERY {
                        tracing::warn!(error = %fault, "audit events wait: they cannot be told at the moment");
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn tell_all(&self) -> Result<(), NotDelivered> {
        loop {
            let waiting =
                self.db.run("audit_outbox.list", |connection| store::outbox::list(connection, BATCH)).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            let (positions, events): (Vec<i64>, Vec<_>) = waiting
                .into_iter()
                .map(|waiting| (waiting.position, waiting.event.opened(&self.seal)))
                .unzip();
            let identity = self.signer.for_service(&self.audience)?;
            self.auth.deliver(&identity, &AuditBatch { events }).await?;
            self.db
                .run("audit_outbox.delete", move |connection| store::outbox::delete(connection, &positions))
                .await?;
        }
    }
}
