use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slipway_audit::{Action, Event};
use slipway_db::Database;
use slipway_jwt::{AccessIssuer, KeyError, SigningKeys};
use slipway_kernel::SharedClock;
use slipway_models::audit::AuditActor;
use slipway_telemetry::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::error::AuthError;

/// Well below the time that a new key is shown before it signs.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Takes up the signing keys that are added to a directory or removed from it.
pub(crate) struct FollowedKeys {
    pub(crate) directory: PathBuf,
    pub(crate) issuer: Arc<AccessIssuer>,
    pub(crate) service: String,
    pub(crate) db: Database,
    pub(crate) clock: SharedClock,
}

impl FollowedKeys {
    /// Looks again and again, until the service stops. Where keys cannot be read, those before stay.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        let mut due = interval(LOOK_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut has_failed, mut unrecorded) = (false, None);
        while stop.run_until_cancelled(due.tick()).await.is_some() {
            let looked = self.look().await;
            match &looked {
                Ok(Some(kids)) => tracing::info!(keys.count = kids.len(), "the signing keys are others now"),
                Ok(None) => {}
                Err(fault) if has_failed => tracing::debug!(error = %fault, "the signing keys are not read"),
                Err(fault) => {
                    tracing::error!(error = %fault, "the signing keys are not read: those before stay");
                }
            }
            has_failed = looked.is_err();
            unrecorded = looked.ok().flatten().or(unrecorded);
            if let Some(kids) = &unrecorded {
                match self.record(kids.clone()).await {
                    Ok(()) => unrecorded = None,
                    Err(fault) => tracing::warn!(error = %fault, "other signing keys are not recorded yet"),
                }
            }
        }
    }

    /// Returns their ids, where they are others.
    async fn look(&self) -> Result<Option<Vec<String>>, AuthError> {
        let (directory, issuer) = (self.directory.clone(), Arc::clone(&self.issuer));
        Ok(spawn_blocking(Span::current(), move || take(&directory, &issuer)).await??)
    }

    async fn record(&self, kids: Vec<String>) -> Result<(), AuthError> {
        let actor = AuditActor::Service { id: self.service.clone() };
        let event = Event::new(Action::SIGNING_KEYS, actor, self.clock.now()).with("keys", kids);
        self.db
            .run("signing_keys.record", move |connection| Ok(slipway_audit::record(connection, event)?))
            .await
    }
}

fn take(directory: &Path, issuer: &AccessIssuer) -> Result<Option<Vec<String>>, KeyError> {
    let before = issuer.keys();
    if before.are_those_in(directory)? {
        return Ok(None);
    }
    let keys = SigningKeys::load(directory)?;
    let kids = |keys: &SigningKeys| keys.jwks().keys.iter().map(|key| key.kid.clone()).collect::<Vec<_>>();
    let (old, new) = (kids(&before), kids(&keys));
    issuer.replace_keys(keys);
    // A file of another age may hold the same key.
    Ok((new != old).then_some(new))
}
