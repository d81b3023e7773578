//! An instance in the hands of one call.

use std::time::{Duration, Instant};

use slipway_bridge::protocol::LogLine;
use slipway_models::functions::ExecutionError;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::pool::{Grant, Granted, Place};
use super::{BridgeError, Frames, Instances, NoInstance, Slot, StartFailure};

/// A place in the queue for an instance, or the instance itself.
pub(crate) struct Claim(pub(super) Promise);

pub(super) enum Promise {
    Kept(Lease),
    Waits(Waiting),
}

/// A place in the queue, which is given up when this is dropped.
pub(super) struct Waiting {
    pub(super) place: Place,
    pub(super) granted: oneshot::Receiver<Grant<Slot>>,
    pub(super) instances: Instances,
}

impl Claim {
    /// Waits for the instance until `deadline`.
    pub(crate) async fn redeem(self, deadline: Instant) -> Result<Lease, NoInstance> {
        match self.0 {
            Promise::Kept(lease) => Ok(lease),
            Promise::Waits(waiting) => waiting.redeem(deadline).await,
        }
    }

    /// Gives the place up, and an instance that is there already back.
    pub(crate) fn give_up(self) {
        if let Promise::Kept(lease) = self.0 {
            lease.give_back();
        }
    }
}

impl Waiting {
    async fn redeem(mut self, deadline: Instant) -> Result<Lease, NoInstance> {
        let instances = self.instances.clone();
        match tokio::time::timeout_at(deadline.into(), &mut self.granted).await {
            Ok(Ok(grant)) => {
                let Granted { slot, started } = grant.map_err(|failure| match failure {
                    StartFailure::Removed if instances.is_stopping() => StartFailure::Stopping,
                    failure => failure,
                })?;
                let cold_start = started.then_some(slot.about.started_in);
                Ok(Lease::new(slot, instances, cold_start))
            }
            Ok(Err(_)) => Err(StartFailure::Stopping.into()),
            Err(_) => Err(NoInstance::TimedOut(instances.0.pools().shortage(self.place))),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.instances.0.pools().give_up(self.place);
        // One that came in the last moment takes the next call.
        if let Ok(Ok(granted)) = self.granted.try_recv() {
            Lease::new(granted.slot, self.instances.clone(), None).give_back();
        }
    }
}

/// A slot of an instance, lent to one call. Dropped without [`Lease::give_back`], the instance is removed.
pub(crate) struct Lease {
    slot: Slot,
    instances: Instances,
    /// How long starting it took, where it was started for a caller who waited.
    pub(crate) cold_start: Option<Duration>,
}

impl Lease {
    pub(super) fn new(slot: Slot, instances: Instances, cold_start: Option<Duration>) -> Self {
        Self { slot, instances, cold_start }
    }

    /// Returns the number of the version that runs.
    pub(crate) fn version_number(&self) -> i32 {
        self.slot.about.version.number
    }

    /// Returns a token that is cancelled when the call has to end: its function was deleted, or the runner stops.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.slot.about.ended.clone()
    }

    /// Returns a token that is cancelled when the instance was given up for the sake of another of its calls.
    pub(crate) fn stopped(&self) -> CancellationToken {
        self.slot.about.stopped.clone()
    }

    /// Tells which of the two it is.
    pub(crate) fn is_runner_stopping(&self) -> bool {
        self.instances.is_stopping()
    }

    /// Returns what was printed while the handler was loaded, to the first call that asks.
    pub(crate) fn take_load_lines(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.slot.load_lines)
    }

    /// Calls the handler.
    pub(crate) async fn invoke(&mut self, head: &[u8], body: &[u8]) -> Result<Frames<'_>, BridgeError> {
        match &mut self.slot.connection {
            Some(connection) => connection.invoke(head, body).await,
            None => Err(BridgeError::Message("the slot was given back".to_owned())),
        }
    }

    /// Finds out whether the kernel killed a process of the instance for memory.
    pub(crate) async fn out_of_memory(&self) -> Option<ExecutionError> {
        let container = self.slot.about.container.as_ref()?;
        let state = self.instances.0.runtime.inspect(container).await.ok()?;
        state.out_of_memory.then(|| ExecutionError {
            kind: "out_of_memory".to_owned(),
            message: "the handler needs more memory than memory_mb gives it".to_owned(),
            trace: None,
        })
    }

    /// Finds out why the instance broke off.
    pub(crate) async fn explain(&self, cause: &BridgeError) -> ExecutionError {
        if let Some(error) = self.out_of_memory().await {
            return error;
        }
        let (kind, message) = match cause {
            BridgeError::Connection(_) => {
                ("instance_exited", "the instance ended before the handler answered".to_owned())
            }
            fault => ("protocol_violated", fault.to_string()),
        };
        ExecutionError { kind: kind.to_owned(), message, trace: None }
    }

    /// Lets the instance take the next call.
    pub(crate) fn give_back(self) {
        let (id, function_id) = (self.slot.about.id, self.slot.about.version.function_id);
        let released = self.instances.0.pools().release(id, function_id, self.slot, Instant::now());
        match released {
            Ok(actions) => self.instances.0.perform(actions),
            // It is gone with its instance.
            Err(mut slot) => slot.connection = None,
        }
    }
}
