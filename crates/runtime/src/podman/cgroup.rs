//! The control groups of builds. Podman lets go of a build whose client left, but not of the step that it runs: that
//! goes on to its end, which may be never. So each build gets a cgroup name of its own, to find its processes by.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

const ROOT: &str = "/sys/fs/cgroup";
/// How deep the cgroup of a container may lie: below slices, sessions and the container of the runner itself.
const DEEPEST: usize = 12;
/// A killed build is over when its cgroup stays away for this long: between two steps there is none.
const QUIET: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// Tells whether the cgroup of a process has this word in its path.
pub(super) fn names(pid: i32, word: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|cgroup| cgroup.contains(word))
}

/// Kills all that runs in cgroups whose name begins so, until there is none left. Returns whether it got there.
pub(super) async fn kill_all(prefix: String) -> bool {
    let begin = Instant::now();
    let mut last_seen = begin;
    while begin.elapsed() < LONGEST {
        let prefix = prefix.clone();
        let seen = tokio::task::spawn_blocking(move || kill_once(&prefix)).await;
        if seen.unwrap_or(true) {
            last_seen = Instant::now();
        } else if last_seen.elapsed() >= QUIET {
            return true;
        }
        sleep(Duration::from_millis(20)).await;
    }
    tracing::error!(cgroup.prefix = prefix, "processes of a build survive being killed");
    false
}

/// Returns whether there was such a cgroup.
fn kill_once(prefix: &str) -> bool {
    let mut found = Vec::new();
    find(&hierarchy(), prefix, DEEPEST, &mut found);
    for cgroup in &found {
        let listed = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
        listed.lines().filter_map(|pid| pid.parse().ok()).for_each(|pid| kill(pid, prefix));
    }
    !found.is_empty()
}

/// Takes hold of the process before it looks where that belongs, so that a number used again harms nobody.
fn kill(pid: i32, prefix: &str) {
    let Some(Ok(process)) = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return;
    };
    if names(pid, prefix)
        && let Err(error) = pidfd_send_signal(&process, Signal::KILL)
        && error != rustix::io::Errno::SRCH
    {
        tracing::error!(%error, process.pid = pid, "cannot kill a process of a build");
    }
}

/// The tree of cgroups v2, or of version 1's `pids` controller.
fn hierarchy() -> PathBuf {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").exists() { root.to_path_buf() } else { root.join("pids") }
}

/// Collects the cgroups whose name begins with `prefix`, and all below them.
fn find(directory: &Path, prefix: &str, depth: usize, found: &mut Vec<PathBuf>) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(path.clone());
            find(&path, "", depth, found);
        } else {
            find(&path, prefix, depth, found);
        }
    }
}
