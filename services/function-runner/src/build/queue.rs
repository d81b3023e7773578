use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use slipway_kernel::{DeploymentId, FunctionId, UserId};
use tokio::sync::{AcquireError, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::LogTail;
use crate::domain::Deployment;

/// The deployments that are on their way. An owner's are built one after another, in their order, so that many of one
/// owner never keep another's waiting; a fixed number is built at a time.
#[derive(Clone)]
pub(crate) struct BuildQueue(Arc<Shared>);

struct Shared {
    slots: Arc<Semaphore>,
    turns: Mutex<HashMap<UserId, Weak<tokio::sync::Mutex<()>>>>,
    entries: Mutex<HashMap<DeploymentId, Entry>>,
}

#[derive(Clone)]
struct Entry {
    function: FunctionId,
    log: LogTail,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// A deployment's place in the queue, given up when it is dropped.
pub(crate) struct Ticket {
    queue: BuildQueue,
    deployment: DeploymentId,
    turn: Arc<tokio::sync::Mutex<()>>,
    entry: Entry,
}

/// The right to build, until it is dropped.
pub(crate) struct Turn {
    _of_the_owner: OwnedMutexGuard<()>,
    _slot: OwnedSemaphorePermit,
}

impl BuildQueue {
    /// Makes a queue that builds `parallel` deployments at a time.
    pub(crate) fn new(parallel: usize) -> Self {
        Self(Arc::new(Shared {
            slots: Arc::new(Semaphore::new(parallel)),
            turns: Mutex::default(),
            entries: Mutex::default(),
        }))
    }

    /// Adds a deployment.
    pub(crate) fn enter(&self, deployment: &Deployment) -> Ticket {
        let entry = Entry {
            function: deployment.function_id,
            log: LogTail::default(),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
        };
        self.entries().insert(deployment.id, entry.clone());
        let turn = self.turn_of(deployment.owner);
        Ticket { queue: self.clone(), deployment: deployment.id, turn, entry }
    }

    /// Returns how many are on their way.
    pub(crate) fn len(&self) -> usize {
        self.entries().len()
    }

    /// Returns what a deployment that is on its way has printed so far.
    pub(crate) fn log(&self, id: DeploymentId) -> Option<String> {
        let log = self.entries().get(&id)?.log.clone();
        Some(log.text())
    }

    /// Waits until a deployment is over, however it ends.
    pub(crate) async fn ended(&self, id: DeploymentId) {
        let ended = self.entries().get(&id).map(|entry| entry.ended.clone());
        if let Some(ended) = ended {
            ended.cancelled().await;
        }
    }

    /// Stops the deployments of a function, and waits until they have stopped.
    pub(crate) async fn stop_function(&self, function: FunctionId) {
        self.stop(|entry| entry.function == function).await;
    }

    /// Stops everything, and waits until it has stopped.
    pub(crate) async fn stop_all(&self) {
        self.stop(|_| true).await;
    }

    async fn stop(&self, which: impl Fn(&Entry) -> bool) {
        let stopped: Vec<Entry> = self.entries().values().filter(|entry| which(entry)).cloned().collect();
        for entry in &stopped {
            entry.stop.cancel();
        }
        for entry in stopped {
            entry.ended.cancelled().await;
        }
    }

    fn turn_of(&self, owner: UserId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&owner).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(owner, Arc::downgrade(&turn));
        turn
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<DeploymentId, Entry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Waits for the deployment's turn.
    pub(crate) async fn turn(&self) -> Result<Turn, AcquireError> {
        let of_the_owner = Arc::clone(&self.turn).lock_owned().await;
        let slot = Arc::clone(&self.queue.0.slots).acquire_owned().await?;
        Ok(Turn { _of_the_owner: of_the_owner, _slot: slot })
    }

    /// Returns where the build prints.
    pub(crate) fn log(&self) -> &LogTail {
        &self.entry.log
    }

    /// Returns the token that is cancelled when the deployment has to stop.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.entry.stop
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.entries().remove(&self.deployment);
        self.entry.ended.cancel();
    }
}
