use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slipway_kernel::{ExecutionId, UserId};
use tokio_util::sync::CancellationToken;

/// The runs that this process has in hand, so that they can be called off.
#[derive(Default)]
pub(crate) struct RunsUnderway(Mutex<HashMap<ExecutionId, (UserId, CancellationToken)>>);

/// A run in hand, until it is dropped.
pub(crate) struct RunUnderway {
    id: ExecutionId,
    called_off: CancellationToken,
    all: Arc<RunsUnderway>,
}

impl RunsUnderway {
    /// Notes a run. Its record has to be final before what this returns is dropped.
    pub(crate) fn enter(self: &Arc<Self>, owner: UserId, id: ExecutionId) -> RunUnderway {
        let called_off = CancellationToken::new();
        self.runs().insert(id, (owner, called_off.clone()));
        RunUnderway { id, called_off, all: Arc::clone(self) }
    }

    /// Tells whether an owner's run is in hand.
    pub(crate) fn has(&self, owner: UserId, id: ExecutionId) -> bool {
        self.runs().get(&id).is_some_and(|(whose, _)| *whose == owner)
    }

    /// Calls an owner's run off, if it is in hand.
    pub(crate) fn call_off(&self, owner: UserId, id: ExecutionId) {
        if let Some((_, called_off)) = self.runs().get(&id).filter(|(whose, _)| *whose == owner) {
            called_off.cancel();
        }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<ExecutionId, (UserId, CancellationToken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunUnderway {
    /// Returns the token that is cancelled when the run is called off.
    pub(crate) fn called_off(&self) -> &CancellationToken {
        &self.called_off
    }
}

impl Drop for RunUnderway {
    fn drop(&mut self) {
        self.all.runs().remove(&self.id);
    }
}
