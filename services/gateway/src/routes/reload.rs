//! Takes a changed `gateway.toml` without a restart: on SIGHUP, and within a second or two of a change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::file::load;
use super::{AddedRoute, RouteTable, Routes, RoutesFault, Services};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Keeps a table of routes like its file. A file that is at fault changes nothing.
pub(crate) struct Reload {
    path: PathBuf,
    services: Services,
    routes: Arc<Routes>,
    seen: Option<Stamp>,
}

/// What tells one state of a file from another.
type Stamp = (SystemTime, u64);

impl Reload {
    /// Reads the file for the first time.
    pub(crate) fn load(path: &Path) -> Result<Vec<AddedRoute>, RoutesFault> {
        load(path)
    }

    /// Watches the file that `routes` were made of.
    pub(crate) fn new(path: PathBuf, services: Services, routes: Arc<Routes>) -> Self {
        let seen = stamp(&path);
        Self { path, services, routes, seen }
    }

    /// Looks at the file again and again, until the stop.
    pub(crate) async fn watch(mut self, stop: CancellationToken) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(fault) => {
                tracing::error!(error = %fault, "SIGHUP cannot be heard: changed routes are not taken");
                return;
            }
        };
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            let is_told = tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => true,
                _ = look.tick() => false,
            };
            let now = stamp(&self.path);
            if is_told || now != self.seen {
                self.seen = now;
                self.take();
            }
        }
    }

    fn take(&self) {
        let path = self.path.display();
        match load(&self.path) {
            Ok(added) => {
                self.routes.replace(RouteTable::new(&self.services, &added));
                tracing::info!(%path, routes = added.len(), "routes were taken anew");
            }
            Err(fault) => {
                tracing::error!(%path, error = %fault, "routes stay as they were: the file is at fault");
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = path.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
