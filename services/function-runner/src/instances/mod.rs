//! The instances of functions: started, lent to calls, kept while they are warm, removed.
//!
//! An instance serves one version of one function of one owner, one call at a time. Its life: starting, ready, busy
//! and ready again, removed. A warm call asks Podman for nothing: the instance dialled a socket of its own when it
//! came up, and the call goes over that connection. [`pool`] has the rules; [`warm`] makes cold starts short.
//!
//! Nothing is left behind: every container carries the runner's label, and what bears it and is not known here is
//! removed, at the start and on every sweep.

mod config;
mod connection;
mod egress;
mod environment;
mod launch;
mod lease;
mod pool;
mod removal;
#[cfg(test)]
mod tests;
mod warm;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use slipway_bridge::protocol::LogLine;
use slipway_kernel::{FunctionId, InstanceId};
use slipway_models::functions::ExecutionError;
use slipway_models::problem::FieldError;
use slipway_runtime::{ContainerId, ContainerRuntime, RuntimeError};
use slipway_sealing::SealingKeys;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::build::Bundles;
use crate::domain::Version;
use crate::error::FunctionError;
use crate::runner_id::RunnerId;
pub use config::InstancesConfig;
pub use connection::BridgeError;
use connection::Connection;
pub(crate) use connection::Frames;
pub use egress::EgressSettings;
use egress::{Membership, Networks};
use lease::Promise;
pub(crate) use lease::{Claim, Lease};
use pool::{Acquired, Action, Limits, Member, Pools, Seat};
use warm::WarmPool;

/// Says why a call got no instance and may not wait for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// As many calls as may are waiting already.
    #[error("every instance is busy and the queue is full")]
    QueueFull,
    /// The function asks for more memory than the host gives to all functions together.
    #[error("the function needs more memory than the {host_mb} MiB that this host gives to functions")]
    TooLarge {
        /// What the host gives, in MiB.
        host_mb: u64,
    },
}

/// Says why a version's handler could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct CheckFailure {
    /// The exception's type, or a code such as `handler_missing` or `start_timed_out`.
    pub kind: String,
    /// The handler's own message.
    pub message: String,
    /// Where it happened, in the handler's own terms.
    pub trace: Option<String>,
    /// What was printed until then.
    pub log: String,
}

/// Says why an instance did not become ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartFailure {
    /// The function is at fault.
    #[error(transparent)]
    Handler(#[from] CheckFailure),
    /// The platform is.
    #[error("an instance could not be started: {0}")]
    Platform(String),
    /// The function was deleted meanwhile.
    #[error("the function was deleted")]
    Removed,
    /// The runner is being stopped.
    #[error("the function runner is stopping")]
    Stopping,
}

/// Says why a call got no instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoInstance {
    /// The one that was started for it did not become ready.
    #[error(transparent)]
    Failed(#[from] StartFailure),
    /// Its deadline came first.
    #[error("no instance was ready before the deadline")]
    TimedOut,
}

/// The instances of this host. Cheap to clone.
#[derive(Clone)]
pub struct Instances(Arc<Shared>);

struct Shared {
    config: InstancesConfig,
    runner: RunnerId,
    runtime: Arc<dyn ContainerRuntime>,
    /// Open the secrets of functions.
    keys: Arc<SealingKeys>,
    /// Where everything runs, whichever thread asks for it.
    tasks: Handle,
    pools: Mutex<Pools<Instance>>,
    /// Every instance from before it is created until it is removed.
    registered: Mutex<HashMap<InstanceId, Registered>>,
    networks: Arc<Networks>,
    freed: Notify,
    warm: WarmPool,
    bundles: Arc<Bundles>,
    stopping: AtomicBool,
}

struct Registered {
    /// None while it is a warm container.
    function_id: Option<FunctionId>,
    ended: CancellationToken,
}

/// An instance that is ready or busy. However it is dropped, its container goes.
struct Instance {
    /// None once its removal is under way.
    remains: Option<Remains>,
    version: Arc<Version>,
    connection: Connection,
    /// Cancelled when its function is deleted or the runner stops.
    ended: CancellationToken,
    started_in: Duration,
    /// What was printed while the handler was loaded, until a call takes it.
    load_lines: Vec<LogLine>,
    shared: Weak<Shared>,
}

/// What there is to remove of an instance.
struct Remains {
    id: InstanceId,
    /// None while it is a warm container.
    seat: Option<Seat>,
    /// The container while it is being created: the runtime finishes what is given up, and then it is there.
    creation: Option<JoinHandle<Result<ContainerId, RuntimeError>>>,
    container: Option<ContainerId>,
    /// Of an instance that has a network.
    membership: Option<Box<Membership>>,
}

impl Remains {
    /// Returns what there is before anything is made.
    fn of(id: InstanceId, seat: Option<Seat>) -> Self {
        Self { id, seat, creation: None, container: None, membership: None }
    }
}

impl Member for Instance {
    fn version(&self) -> &Arc<Version> {
        &self.version
    }

    fn is_open(&self) -> bool {
        self.connection.is_open() && !self.ended.is_cancelled()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(remains) = self.remains.take()
            && let Some(shared) = self.shared.upgrade()
        {
            if let Some(seat) = remains.seat {
                shared.pools().leave(seat);
            }
            shared.remove_soon(remains);
        }
    }
}

impl Instances {
    /// Removes what an earlier process left and starts to sweep, on the current Tokio runtime, until `stop` is
    /// cancelled. Where the container runtime does not answer yet, the first sweep that it answers removes the rest.
    pub async fn start(
        config: InstancesConfig,
        runner: RunnerId,
        runtime: Arc<dyn ContainerRuntime>,
        keys: Arc<SealingKeys>,
        bundles: Arc<Bundles>,
        stop: CancellationToken,
    ) -> std::io::Result<Self> {
        config.prepare_directories()?;
        let limits = Limits {
            instances: config.max_instances,
            memory_mb: config.max_memory_mb,
            waiting: config.max_waiting,
        };
        let shared = Arc::new(Shared {
            config,
            runner,
            runtime,
            keys,
            tasks: Handle::current(),
            pools: Mutex::new(Pools::new(limits)),
            registered: Mutex::default(),
            networks: Arc::default(),
            freed: Notify::new(),
            warm: WarmPool::default(),
            bundles,
            stopping: AtomicBool::new(false),
        });
        shared.remove_unknown().await;
        shared.tasks.spawn(Arc::clone(&shared).keep_sweeping(stop.clone()));
        if shared.config.warm > 0 {
            shared.tasks.spawn(Arc::clone(&shared).keep_warm(stop));
        }
        Ok(Self(shared))
    }

    /// Asks for an instance of the function's active version for a call.
    pub(crate) fn request(&self, version: &Arc<Version>) -> Result<Claim, Busy> {
        let (acquired, actions) = self.0.pools().acquire(version, Instant::now());
        self.0.perform(actions);
        match acquired {
            Acquired::Ready(instance) => Ok(Claim(Promise::Kept(Lease::new(instance, self.clone(), None)))),
            Acquired::Waits(granted) => Ok(Claim(Promise::Waits(granted, self.clone()))),
            Acquired::Refused(busy) => Err(busy),
        }
    }

    fn is_stopping(&self) -> bool {
        self.0.is_stopping()
    }

    /// Starts an instance of a version that is not active yet, waits until its handler is loaded, and keeps it as a
    /// warm spare.
    pub async fn check(&self, version: Arc<Version>) -> Result<(), CheckFailure> {
        let deadline = Instant::now() + self.0.config.start_timeout;
        let seat = self.0.seat_for_check(&version, deadline).await?;
        let (shared, launched) = (Arc::clone(&self.0), Arc::clone(&version));
        // As a task, so that a check that is given up does not leave half an instance behind.
        let launch = self.0.tasks.spawn(async move { shared.launch(&launched, seat).await });
        let launched = launch.await.unwrap_or_else(|fault| Err(StartFailure::Platform(fault.to_string())));
        let instance = launched.map_err(|failure| match failure {
            StartFailure::Handler(failure) => failure,
            StartFailure::Platform(message) => CheckFailure::of("instance_unavailable", message),
            StartFailure::Removed => CheckFailure::of("function_deleted", failure.to_string()),
            StartFailure::Stopping => CheckFailure::of("runner_restarted", failure.to_string()),
        })?;
        let actions = self.0.pools().keep_spare(instance, Instant::now());
        self.0.perform(actions);
        Ok(())
    }

    /// Says whether instances can have a network here; `at` is the JSON pointer to where one was asked for.
    pub(crate) async fn require_egress(&self, at: &str) -> Result<(), FunctionError> {
        match self.0.runtime.require_egress().await {
            Err(RuntimeError::Unsupported { what }) => {
                let detail = format!("cannot be had here: {what}");
                Err(FunctionError::Invalid(vec![FieldError { pointer: at.to_owned(), detail }]))
            }
            outcome => Ok(outcome?),
        }
    }

    /// Makes `version` the one that calls of its function go to. Instances of any other version, or with another
    /// configuration, are removed as soon as their call has ended.
    #[expect(clippy::needless_pass_by_value, reason = "the pools keep the version")]
    pub fn activate(&self, version: Arc<Version>) {
        let actions = self.0.pools().activate(&version);
        self.0.perform(actions);
    }

    /// Kills and removes every instance of a function; its calls in flight end as cancelled. Returns when the
    /// containers are gone, or after 10 s: the sweep then removes the rest.
    pub async fn remove_function(&self, id: FunctionId) {
        let actions = self.0.pools().remove_function(id);
        for registered in self.0.registered().values().filter(|registered| registered.function_id == Some(id))
        {
            registered.ended.cancel();
        }
        self.0.perform(actions);
        self.0.wait_until_free(Some(id)).await;
    }

    /// Ends every call and removes every instance. Returns when the containers are gone, or after 10 s.
    pub async fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
        let actions = self.0.pools().close();
        for registered in self.0.registered().values() {
            registered.ended.cancel();
        }
        self.0.perform(actions);
        self.0.stop_warm();
        self.0.wait_until_free(None).await;
    }
}

impl From<CheckFailure> for ExecutionError {
    fn from(failure: CheckFailure) -> Self {
        Self { kind: failure.kind, message: failure.message, trace: failure.trace }
    }
}

impl CheckFailure {
    fn of(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), message: message.into(), trace: None, log: String::new() }
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn pools(&self) -> MutexGuard<'_, Pools<Instance>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn registered(&self) -> MutexGuard<'_, HashMap<InstanceId, Registered>> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(self: &Arc<Self>, actions: Vec<Action<Instance>>) {
        for action in actions {
            match action {
                Action::Start(version, seat) => {
                    self.tasks.spawn(Arc::clone(self).launch_for_callers(version, seat));
                }
                Action::Retire(mut instance) => {
                    if let Some(remains) = instance.remains.take() {
                        self.remove_soon(remains);
                    }
                }
            }
        }
    }

    fn remove_soon(self: &Arc<Self>, remains: Remains) {
        self.tasks.spawn(Arc::clone(self).remove(remains));
    }

    async fn launch_for_callers(self: Arc<Self>, version: Arc<Version>, seat: Seat) {
        let actions = match self.launch(&version, seat).await {
            Ok(instance) => self.pools().started(instance, Instant::now()),
            Err(failure) => self.pools().start_failed(&version, failure),
        };
        self.perform(actions);
    }

    async fn seat_for_check(
        self: &Arc<Self>,
        version: &Version,
        deadline: Instant,
    ) -> Result<Seat, CheckFailure> {
        loop {
            let freed = self.freed.notified();
            let (seat, actions) = self.pools().seat_for_check(version);
            self.perform(actions);
            if let Some(seat) = seat {
                return Ok(seat);
            }
            if tokio::time::timeout_at(deadline.into(), freed).await.is_err() {
                return Err(CheckFailure::of("host_full", "the host has no room for another instance"));
            }
        }
    }
}
