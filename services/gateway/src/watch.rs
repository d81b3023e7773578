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

    fn now(&self) -> Self {
        Self::of(self.0.iter().map(|(path, _)| path.clone()))
    }
}

/// Looks at files again and again. It sees a change within a second or two, wherever the file lies, also where a link leads
/// elsewhere now; SIGHUP counts as one.
pub(crate) struct Watch {
    seen: Stamps,
    hangup: Signal,
    look: Interval,
}

impl Watch {
    /// Begins with what was seen.
    pub(crate) fn new(seen: Stamps) -> io::Result<Self> {
        Ok(Self { seen, hangup: signal(SignalKind::hangup())?, look: interval(LOOK_EVERY) })
    }

    /// Waits for a change.
    pub(crate) async fn changed(&mut self) {
        loop {
            let is_told = tokio::select! {
                _ = self.hangup.recv() => true,
                _ = self.look.tick() => false,
            };
            let now = self.seen.now();
            if is_told || now != self.seen {
                self.seen = now;
                return;
            }
        }
    }
}
