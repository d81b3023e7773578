//! The disk that Podman's storage shares with the rest of the host.
//!
//! No limit of a build covers what it writes: Podman's storage has quotas only on XFS. A full disk would stop the
//! platform's own database and spool, so builds are ended before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::statvfs;
use tokio::time::sleep;

use crate::RuntimeError;

/// Between two looks: what a fast disk takes in this time is little beside what is left free.
const EVERY: Duration = Duration::from_millis(200);

/// Returns the fault of a build once less than `left_free` bytes are free where `storage` lies. Never where that
/// cannot be told: Podman may see another tree of files.
pub(super) async fn is_short(storage: Option<PathBuf>, left_free: u64) -> RuntimeError {
    loop {
        if let Some(free) = storage.as_deref().and_then(free_bytes)
            && free < left_free
        {
            return RuntimeError::DiskShort { free, left_free };
        }
        sleep(EVERY).await;
    }
}

/// What is free for all, root's reserve aside.
fn free_bytes(path: &Path) -> Option<u64> {
    let found = statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}
