//! What is said of a run that the platform has accepted.

use std::time::Duration;

use serde_json::Value;
use slipway_kernel::ExecutionId;
use slipway_models::functions::{ExecutionBody, ExecutionStatus, InvokeAccepted};
use tokio::time::Instant;

use super::executions::status;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Store;

const POLL_EVERY: Duration = Duration::from_millis(300);
/// How long the platform may be away before the command stops to wait for the run.
const BEAR_WITH_FOR: Duration = Duration::from_mins(1);

/// Tells which run it is; where it `is_awaited`, what came of it instead.
pub(super) async fn accepted(
    accepted: InvokeAccepted,
    is_awaited: bool,
    store: &Store,
    output: &Output,
) -> Result<(), Failure> {
    let id = accepted.execution_id;
    if !is_awaited {
        return output.result(&accepted, &id.to_string());
    }
    let run = ended(id, store).await?;
    if run.status != ExecutionStatus::Succeeded {
        let cause = run.error.map_or_else(|| status(run.status).to_owned(), |error| error.message);
        return Err(Failure::function(cause).hint(format!("the run is {id}; again: slipway replay {id}")));
    }
    if output.is_json() {
        return output::value(&run);
    }
    output::note(&format!("succeeded at attempt {} ({id})", run.attempt));
    match &run.result {
        Some(Value::String(text)) => output::line(text),
        Some(value) => output::line(&format!("{value:#}")),
        None => Ok(()),
    }
}

/// Waits until a run has ended, over short absences of the platform.
async fn ended(id: ExecutionId, store: &Store) -> Result<ExecutionBody, Failure> {
    let mut last_seen = Instant::now();
    loop {
        match look(id, store).await {
            Ok(run) if run.finished_at.is_some() => return Ok(run),
            Ok(_) => last_seen = Instant::now(),
            Err(failure) if failure.is_unavailable() && last_seen.elapsed() < BEAR_WITH_FOR => {}
            Err(failure) if failure.is_unavailable() => {
                return Err(failure.hint(format!("the run {id} goes on without this command")));
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

async fn look(id: ExecutionId, store: &Store) -> Result<ExecutionBody, Failure> {
    let (client, _) = store.client().await?;
    Ok(client.execution(id).await?)
}
