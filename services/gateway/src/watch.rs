//! Files that may be changed while the gateway runs.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, interval};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells one state of a file from another; nothing where it cannot be looked at.
type Stamp = Option<(SystemTime, u64)>;

/// The state of files at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<(PathBuf, Stamp)>);

impl Stamps {
    /// Looks at files. To be taken before they are read: what changes after that is seen as a change.
    pub(crate) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamp = |path: &PathBuf| {
            let metadata = path.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self(paths.into_iter().map(|path| (stamp(&path), path)).map(|(stamp, path)| (path, stamp)).collect())
    }

    /// Tells whether they are not as they were.
    pub(crate) fn have_changed(&self) -> bool {
        Self::of(self.0.iter().map(|(path, _)| path.clone())) != *self
    }
}

/// When to look at files again: each second, which sees changes wherever a file lies, also where a link leads elsewhere by
/// now; and on SIGHUP.
pub(crate) struct Looks {
    hangup: Signal,
    every: Interval,
}

impl Looks {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())?, every: interval(LOOK_EVERY) })
    }

    /// Waits for the next look. Tells whether it was asked for: then the files count as changed.
    pub(crate) async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.hangup.recv() => true,
            _ = self.every.tick() => false,
        }
    }
}
