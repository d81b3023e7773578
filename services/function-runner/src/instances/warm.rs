//! Ready containers of the plain runtimes, so that a cold start is no more than loading the handler.
//!
//! A warm container has dialled and its language worker waits, but it has neither owner nor code. When a version of
//! the default size wants an instance, one is given the version's files, in the directory that it has mounted as its
//! own, and the version's configuration; from then on it is that version's instance like any other. Where there is
//! none, or the files are not kept, the version's image is started instead.
//!
//! Warm containers take only room that instances leave: where these need it, they go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slipway_kernel::InstanceId;
use slipway_models::functions::{FunctionConfig, Runtime};
use slipway_runtime::InstanceSpec;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::connection::Dialled;
use super::launch::limits;
use super::{Connection, Remains, Shared, StartFailure};
use crate::build::{WARM_RUNTIMES, base_image_id, create_directory};
use crate::domain::Version;

/// How often containers that broke are replaced.
const CHECK: Duration = Duration::from_secs(1);
/// How long a warm container may take to accept its configuration: one that hangs is given up for another start.
const PATIENCE: Duration = Duration::from_secs(2);

/// The containers that wait.
#[derive(Default)]
pub(super) struct WarmPool {
    /// Newest last.
    waiting: Mutex<Vec<Warm>>,
    /// Told when one was taken.
    taken: Notify,
}

/// A container without owner and code.
pub(super) struct Warm {
    remains: Remains,
    dialled: Dialled,
    runtime: Runtime,
    /// The id of its image.
    base: String,
}

impl WarmPool {
    /// Takes the newest container of this image.
    fn take(&self, base: &str) -> Option<Warm> {
        let mut waiting = self.waiting();
        let place =
            waiting.iter().rposition(|warm| warm.base == base && warm.dialled.connection.is_open())?;
        Some(waiting.remove(place))
    }

    /// Returns how many wait, of one runtime and in all.
    fn count(&self, runtime: Runtime) -> (usize, usize) {
        let waiting = self.waiting();
        (waiting.iter().filter(|warm| warm.runtime == runtime).count(), waiting.len())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Warm>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Keeps the wanted number of warm containers, until `stop` is cancelled. They are started one at a time, so that
    /// they never take more than one of Podman's turns from instances that someone waits for.
    pub(super) async fn keep_warm(self: Arc<Self>, stop: CancellationToken) {
        let mut check = tokio::time::interval(CHECK);
        let mut look = tokio::time::interval(self.config.sweep.max(CHECK));
        let mut bases = HashMap::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = look.tick() => bases = self.plain_images().await,
                _ = check.tick() => {}
                () = self.warm.taken.notified() => {}
            }
            self.retire_warm(&bases);
            let Some((&runtime, base)) = bases.iter().find(|(runtime, _)| self.wants_warm(**runtime)) else {
                continue;
            };
            match self.start_warm(runtime, base).await {
                Ok(warm) => {
                    self.warm.waiting().push(warm);
                    // One that came too late for `stop_warm`, or for an instance that needs the room.
                    self.retire_warm(&bases);
                    self.warm.taken.notify_one();
                }
                Err(failure) => {
                    tracing::warn!(error = %failure, %runtime, "a warm container was not started");
                    // Until its image is looked for again.
                    bases.remove(&runtime);
                }
            }
        }
    }

    /// Takes a warm container for a version and makes it the version's own: with its files, and configured. `None`
    /// where the version has to be started from its image.
    pub(super) async fn furnish(
        self: &Arc<Self>,
        version: &Arc<Version>,
    ) -> Option<(Remains, Vec<Connection>)> {
        if version.config.egress || limits(&version.config) != limits(&FunctionConfig::default()) {
            return None;
        }
        let configuration = self.configuration(version).ok()?;
        let Warm { remains, dialled, .. } = self.warm.take(&self.bundles.base(&version.image)?)?;
        let (bundles, image) = (Arc::clone(&self.bundles), version.image.clone());
        let target = self.config.code(remains.id);
        let lay = move || bundles.lay(&image, &target);
        let furnished = async {
            let laid = slipway_telemetry::spawn_blocking(Span::current(), lay).await;
            laid.map_err(std::io::Error::from).flatten().map_err(|fault| fault.to_string())?;
            let configured = dialled.configure(&configuration);
            let in_time = tokio::time::timeout(PATIENCE, configured).await;
            in_time.map_err(|late| late.to_string())?.map_err(|fault| fault.to_string())
        };
        match furnished.await {
            Ok(connections) => Some((remains, connections)),
            Err(error) => {
                tracing::warn!(error, instance.id = %remains.id, "a warm container was not used");
                self.remove_soon(remains);
                None
            }
        }
    }

    /// Asks for the place of a container that was taken to be filled, once that does not slow its caller down.
    pub(super) fn refill_warm(&self) {
        self.warm.taken.notify_one();
    }

    /// Gives up every warm container.
    pub(super) fn stop_warm(self: &Arc<Self>) {
        for warm in self.warm.waiting().drain(..) {
            self.remove_soon(warm.remains);
        }
    }

    /// Gives up warm containers that broke, that instances need the room of, and all but those of `bases`.
    fn retire_warm(self: &Arc<Self>, bases: &HashMap<Runtime, String>) {
        let is_current = |warm: &Warm| bases.get(&warm.runtime).is_none_or(|base| *base == warm.base);
        let outdated = |warm: &mut Warm| !warm.dialled.connection.is_open() || !is_current(warm);
        let gone: Vec<Warm> = self.warm.waiting().extract_if(.., outdated).collect();
        for warm in gone {
            self.remove_soon(warm.remains);
        }
        self.make_room_of_warm();
    }

    /// Gives up as many warm containers as instances need the room of; all where the runner stops.
    pub(super) fn make_room_of_warm(self: &Arc<Self>) {
        let room = if self.is_stopping() { 0 } else { self.room_for_warm() };
        let mut waiting = self.warm.waiting();
        let surplus = waiting.len().saturating_sub(room);
        for warm in waiting.drain(..surplus) {
            self.remove_soon(warm.remains);
        }
    }

    fn wants_warm(&self, runtime: Runtime) -> bool {
        let (of_runtime, in_all) = self.warm.count(runtime);
        !self.is_stopping() && of_runtime < self.config.warm && in_all < self.room_for_warm()
    }

    fn room_for_warm(&self) -> usize {
        self.pools().room_for(FunctionConfig::default().memory_mb.into())
    }

    /// Returns the ids of the plain runtimes' images, of those that are there.
    async fn plain_images(&self) -> HashMap<Runtime, String> {
        let mut bases = HashMap::new();
        for runtime in WARM_RUNTIMES {
            let name = format!("{}{runtime}:latest", self.config.image_prefix);
            match base_image_id(&*self.runtime, runtime, &name).await {
                Ok(found) => bases.extend(found.map(|base| (runtime, base))),
                Err(error) => tracing::warn!(%error, %runtime, "cannot look for the image of a runtime"),
            }
        }
        bases
    }

    async fn start_warm(self: &Arc<Self>, runtime: Runtime, base: &str) -> Result<Warm, StartFailure> {
        let id = InstanceId::generate();
        let ended = self.register(id, None);
        let mut remains = Remains::of(id, None);
        let spec = InstanceSpec {
            name: self.container_name(id),
            image: base.to_owned(),
            command: Vec::new(),
            labels: self.labels(),
            socket_directory: self.config.home(id),
            code_directory: Some(self.config.code(id)),
            limits: limits(&FunctionConfig::default()),
            network: None,
        };
        let dialled = async {
            create_directory(&self.config.code(id))
                .map_err(|cause| StartFailure::Platform(format!("its directory cannot be made: {cause}")))?;
            self.dialled(&mut remains, &spec, None).await
        };
        match self.in_time(&ended, dialled).await {
            Ok(dialled) => Ok(Warm { remains, dialled, runtime, base: base.to_owned() }),
            Err(failure) => {
                self.remove_soon(remains);
                Err(failure)
            }
        }
    }
}
