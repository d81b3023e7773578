use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slipway_kernel::{DeploymentId, FunctionId};
use slipway_models::functions::DeploymentStatus;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::LogTail;
use super::turns::Turns;
use crate::domain::Deployment;

/// The deployments that are on their way. [`Turns`] has the rules by which they are built.
#[derive(Clone)]
pub(crate) struct BuildQueue(Arc<Shared>);

struct Shared {
    turns: Mutex<Turns>,
    entries: Mutex<HashMap<DeploymentId, Entry>>,
}

#[derive(Clone)]
struct Entry {
    function: FunctionId,
    log: LogTail,
    status: watch::Sender<DeploymentStatus>,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// A deployment's place in the queue, given up when it is dropped.
pub(crate) struct Ticket {
    queue: BuildQueue,
    deployment: DeploymentId,
    number: u64,
    has_come: CancellationToken,
    entry: Entry,
}

/// The right to build, until it is dropped.
pub(crate) struct Turn<'a>(&'a Ticket);

/// What is to be seen of a deployment that is on its way.
pub(crate) struct InQueue {
    pub(crate) log: LogTail,
    pub(crate) status: watch::Receiver<DeploymentStatus>,
    /// Cancelled when it is over; all that it printed is in the log then.
    pub(crate) ended: CancellationToken,
}

impl BuildQueue {
    /// Makes a queue that builds `parallel` deployments at a time.
    pub(crate) fn new(parallel: usize) -> Self {
        Self(Arc::new(Shared { turns: Mutex::new(Turns::new(parallel)), entries: Mutex::default() }))
    }

    /// Adds a deployment.
    pub(crate) fn enter(&self, deployment: &Deployment) -> Ticket {
        let entry = Entry {
            function: deployment.function_id,
            log: LogTail::default(),
            status: watch::Sender::new(deployment.status),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
        };
        self.entries().insert(deployment.id, entry.clone());
        let (number, has_come) = self.turns().enter(deployment.owner, entry.log.clone());
        Ticket { queue: self.clone(), deployment: deployment.id, number, has_come, entry }
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

    /// Returns what is to be seen of a deployment, where it is on its way.
    pub(crate) fn find(&self, id: DeploymentId) -> Option<InQueue> {
        let entries = self.entries();
        let Entry { log, status, ended, .. } = entries.get(&id)?;
        Some(InQueue { log: log.clone(), status: status.subscribe(), ended: ended.clone() })
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

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.0.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<DeploymentId, Entry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Waits for the deployment's turn.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let turn = Turn(self);
        self.has_come.cancelled().await;
        turn
    }

    /// Notes for those who follow how far the deployment is.
    pub(crate) fn advance(&self, status: DeploymentStatus) {
        self.entry.status.send_replace(status);
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

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.queue.turns().leave(self.0.number);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.turns().leave(self.number);
        self.queue.entries().remove(&self.deployment);
        self.entry.ended.cancel();
    }
}
