//! The instances of functions: started, lent to calls, kept while they are warm, removed.
//!
//! An instance serves one version of one function of one owner, one call at a time or as many as its `concurrency`
//! says. Its life: starting, ready, busy and ready again, removed. A warm call asks Podman for nothing: the instance
//! dialled a socket of its own when it came up, once for each call at a time, and the call goes over such a connection. [`pool`] and [`room`] have the rules; [`warm`] makes cold starts
//! short.
//!
//! Nothing is left behind: every container carries the runner's label, and what bears it and is not known here is
//! removed, at the start and on every sweep.

mod activation;
mod config;
mod connection;
mod egress;
mod environment;
mod failure;
mod gate;
mod launch;
mod lease;
mod ledger;
mod member;
mod pool;
mod queues;
mod removal;
mod room;
#[cfg(test)]
mod tests;
mod upkeep;
mod waiting;
mod warm;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use slipway_bridge::protocol::LogLine;
use slipway_kernel::{FunctionId, InstanceId};
use slipway_models::problem::FieldError;
use slipway_runtime::{ContainerId, ContainerRuntime, RuntimeError};
use slipway_sealing::SealingKeys;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
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
pub use failure::{Busy, CheckFailure, NoInstance, StartFailure};
use gate::Gate;
pub(crate) use lease::{Claim, Lease};
use lease::{Promise, Waiting};
use ledger::Seat;
pub use ledger::Shortage;
use member::Member;
use pool::{Acquired, Action, Pools};
pub use queues::Full;
use warm::WarmPool;

/// How many removals may go on for each start: a kill may not be late because others are starting.
const REMOVALS_PER_START: usize = 4;

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
    /// Lets few containers be created and started at a time: each takes locks and syncs of Podman's.
    starts: Gate,
    /// The same for removals, which wait for no start.
    removals: Semaphore,
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

/// An instance that is ready or busy.
struct Instance {
    remains: Remains,
    about: Arc<About>,
    /// The connections that carry no call.
    free: Vec<Connection>,
    connections: usize,
    /// What was printed while the handler was loaded, until a call takes it.
    load_lines: Vec<LogLine>,
}

/// What the calls of an instance know of it.
struct About {
    id: InstanceId,
    container: Option<ContainerId>,
    version: Arc<Version>,
    /// Cancelled when its function is deleted or the runner stops.
    ended: CancellationToken,
    /// Cancelled when it is given up for the sake of one of its calls.
    stopped: CancellationToken,
    started_in: Duration,
    shared: Weak<Shared>,
}

/// The right to have an instance carry out one call at a time. Where it is dropped, the instance goes.
struct Slot {
    about: Arc<About>,
    /// None once it was given back.
    connection: Option<Connection>,
    load_lines: Vec<LogLine>,
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
    type Slot = Slot;

    fn id(&self) -> InstanceId {
        self.about.id
    }

    fn version(&self) -> &Arc<Version> {
        &self.about.version
    }

    fn is_open(&self) -> bool {
        // All of them are one process's: the next to be lent speaks for the others.
        self.free.last().is_none_or(Connection::is_open) && !self.about.ended.is_cancelled()
    }

    fn lend(&mut self) -> Option<Slot> {
        let connection = Some(self.free.pop()?);
        let load_lines = std::mem::take(&mut self.load_lines);
        Some(Slot { about: Arc::clone(&self.about), connection, load_lines })
    }

    fn take_back(&mut self, mut slot: Slot) {
        self.free.extend(slot.connection.take());
        self.load_lines.append(&mut slot.load_lines);
    }

    fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    fn is_idle(&self) -> bool {
        self.free.len() == self.connections
    }

    fn stop(&self) {
        self.about.stopped.cancel();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.connection.is_some()
            && let Some(shared) = self.about.shared.upgrade()
        {
            let function_id = self.about.version.function_id;
            let actions = shared.pools().lose(self.about.id, function_id, Instant::now());
            shared.perform(actions);
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
        let shared = Arc::new(Shared {
            pools: Mutex::new(Pools::new(config.limits())),
            starts: Gate::new(config.starts_at_a_time),
            removals: Semaphore::new(REMOVALS_PER_START * config.starts_at_a_time),
            config,
            runner,
            runtime,
            keys,
            tasks: Handle::current(),
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
            Acquired::Ready(slot) => Ok(Claim(Promise::Kept(Lease::new(slot, self.clone(), None)))),
            Acquired::Waits(place, granted) => {
                Ok(Claim(Promise::Waits(Waiting { place, granted, instances: self.clone() })))
            }
            Acquired::Refused(busy) => Err(busy),
        }
    }

    fn is_stopping(&self) -> bool {
        self.0.is_stopping()
    }

    /// Starts an instance of a version that is not active yet, waits until its handler is loaded, and keeps it for the
    /// first call. Where this is cancelled while it starts, it is kept all the same, until it has been idle for long
    /// or its function is deleted.
    pub async fn check(&self, version: Arc<Version>) -> Result<(), CheckFailure> {
        let deadline = Instant::now() + self.0.config.start_timeout;
        let seat = self.0.seat_for_check(&version, deadline).await?;
        let shared = Arc::clone(&self.0);
        let launch = async move {
            let instance = shared.launch(&version, seat).await?;
            let actions = shared.pools().keep_checked(instance, Instant::now());
            shared.perform(actions);
            Ok(())
        };
        let outcome = self.0.tasks.spawn(launch).await.unwrap_or(Err(StartFailure::Stopping));
        outcome.map_err(|failure| match failure {
            StartFailure::Handler(failure) => failure,
            StartFailure::Platform(message) => CheckFailure::of("instance_unavailable", message),
            StartFailure::Removed => CheckFailure::of("function_deleted", failure.to_string()),
            StartFailure::Stopping => CheckFailure::of("runner_restarted", failure.to_string()),
        })
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
    /// configuration, are removed as soon as their call has ended; as many as its `min_instances` are kept ready.
    #[expect(clippy::needless_pass_by_value, reason = "the pools keep the version")]
    pub fn activate(&self, version: Arc<Version>) {
        let actions = self.0.pools().activate(&version, Instant::now());
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
                Action::Retire(instance) => self.remove_soon(instance.remains),
            }
        }
    }

    fn remove_soon(self: &Arc<Self>, remains: Remains) {
        self.tasks.spawn(Arc::clone(self).remove(remains));
    }

    async fn launch_for_callers(self: Arc<Self>, version: Arc<Version>, seat: Seat) {
        let actions = match self.launch(&version, seat).await {
            Ok(instance) => self.pools().started(instance, Instant::now()),
            Err(failure) => self.pools().start_failed(&version, failure, Instant::now()),
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
            match seat {
                Ok(Some(seat)) => return Ok(seat),
                Ok(None) => {}
                Err(too_large) => return Err(CheckFailure::of("too_large", too_large.to_string())),
            }
            if tokio::time::timeout_at(deadline.into(), freed).await.is_err() {
                return Err(CheckFailure::of("host_full", "the host has no room for another instance"));
            }
        }
    }
}
