use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slipway_jwt::{AccessIssuer, KeyError, SigningKeys};
use slipway_telemetry::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::error::AuthError;

/// Well below the time that a new key is shown before it signs.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Takes up the signing keys that are added to a directory or removed from it, until the service stops. Where they
/// cannot be read, those before stay.
pub(crate) async fn follow_signing_keys(
    directory: PathBuf,
    issuer: Arc<AccessIssuer>,
    stop: CancellationToken,
) {
    let mut due = interval(LOOK_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_failed = false;
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        let (directory, held) = (directory.clone(), Arc::clone(&issuer));
        let looked = spawn_blocking(Span::current(), move || look(&directory, &held)).await;
        let looked = looked.map_err(AuthError::from).and_then(|looked| Ok(looked?));
        match &looked {
            Ok(Some(keys)) => tracing::info!(keys.count = keys, "the signing keys are others now"),
            Ok(None) => {}
            Err(fault) if has_failed => tracing::debug!(error = %fault, "the signing keys are not read"),
            Err(fault) => tracing::error!(error = %fault, "the signing keys are not read: those before stay"),
        }
        has_failed = looked.is_err();
    }
}

/// Returns how many there are, where they are others.
fn look(directory: &Path, issuer: &AccessIssuer) -> Result<Option<usize>, KeyError> {
    if issuer.keys().are_those_in(directory)? {
        return Ok(None);
    }
    let keys = SigningKeys::load(directory)?;
    let count = keys.jwks().keys.len();
    issuer.replace_keys(keys);
    Ok(Some(count))
}
