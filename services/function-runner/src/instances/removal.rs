//! The end of instances, and the search for what nobody knows of.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use slipway_kernel::FunctionId;
use slipway_runtime::{ContainerId, Removal};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{Remains, Shared};

const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How often instances are looked at that no call uses.
const UPKEEP: Duration = Duration::from_secs(1);
/// How long a deletion or a stop waits for containers to go.
const PATIENCE: Duration = Duration::from_secs(10);

impl Shared {
    /// Removes an instance and gives its seat to others. A container that cannot be removed now is left to the sweep.
    pub(super) async fn remove(self: Arc<Self>, remains: Remains) {
        let created = match remains.creation {
            Some(creation) => creation.await.ok().and_then(Result::ok),
            None => remains.container,
        };
        if let Some(container) = &created {
            self.remove_container(container).await;
        }
        if let Some(membership) = remains.membership {
            drop(membership);
            self.remove_unused_networks().await;
        }
        let (id, directories) = (remains.id, [self.config.home(remains.id), self.config.code(remains.id)]);
        let removed = slipway_telemetry::spawn_blocking(Span::current(), move || {
            directories.iter().try_for_each(|directory| match std::fs::remove_dir_all(directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            })
        });
        if let Err(error) = removed.await.map_err(io::Error::from).flatten() {
            tracing::warn!(instance.id = %id, %error, "cannot remove the directories of an instance");
        }
        self.registered().remove(&id);
        if let Some(seat) = remains.seat {
            let actions = self.pools().free(seat, Instant::now());
            self.perform(actions);
        }
        self.freed.notify_waiters();
    }

    /// Kills a container at once, and tries until the runtime says that it is gone: until then its image is in use.
    async fn remove_container(&self, container: &ContainerId) {
        let mut pause = FIRST_PAUSE;
        for _ in 0..ATTEMPTS {
            let permit = self.removals.acquire().await;
            match self.runtime.kill_and_remove(container).await {
                Ok(Removal::Removed | Removal::AlreadyGone) => return,
                Ok(Removal::OnlyKilled) => {}
                Err(error) => tracing::warn!(container.id = %container, %error, "cannot remove a container"),
            }
            drop(permit);
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Gives up idle instances, replaces those that died and removes unknown containers, until `stop` is cancelled.
    pub(super) async fn keep_sweeping(self: Arc<Self>, stop: CancellationToken) {
        let mut upkeep = tokio::time::interval(UPKEEP);
        let mut sweep = tokio::time::interval(self.config.sweep);
        loop {
            tokio::select! {
                _ = upkeep.tick() => {
                    let actions = self.pools().maintain(self.config.idle, Instant::now());
                    self.perform(actions);
                }
                _ = sweep.tick() => self.remove_unknown().await,
                () = stop.cancelled() => return,
            }
        }
    }

    /// Removes the containers that carry this runner's label and that it does not know: of a process that was
    /// killed, or of a removal that the runtime did not confirm. Then the networks that they had.
    pub(super) async fn remove_unknown(&self) {
        let found = match self.runtime.list_owned(&self.labels()).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "cannot list the containers of this runner");
                return;
            }
        };
        // Each is registered before it is created, so one that is not here now is not on its way either.
        let known: HashSet<String> = self.registered().keys().map(|id| self.container_name(*id)).collect();
        let unknown: Vec<_> =
            found.into_iter().filter(|container| !known.contains(&container.name)).collect();
        if !unknown.is_empty() {
            tracing::info!(
                containers = unknown.len(),
                "removing containers that no longer belong to anything"
            );
        }
        join_all(unknown.iter().map(|container| self.remove_container(&container.id))).await;
        self.remove_unused_networks().await;
    }

    /// Waits until a function, or everything, has no instance left, but no longer than 10 s.
    pub(super) async fn wait_until_free(&self, function_id: Option<FunctionId>) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let freed = self.freed.notified();
            let is_free = self.pools().seats(function_id) == 0;
            if is_free && (function_id.is_some() || self.registered().is_empty()) {
                return;
            }
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                tracing::warn!("instances are still being removed");
                return;
            }
        }
    }
}
