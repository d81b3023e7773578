//! What Podman's API does not tell or do, but control groups do.
//!
//! Podman lets go of a build whose client left, but not of the step that it runs: that goes on to its end, which may
//! be never. So each build gets a cgroup name of its own, to find its processes by. Nor does a Podman that was killed
//! know, afterwards, of the container that it was starting: that process is found by the container's cgroup.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

use crate::process::start_time;

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

/// Tells whether the kernel has killed a process of a container for memory. `false` also when its cgroup is gone.
pub(super) fn ran_out_of_memory(container: &str) -> bool {
    let mut found = Vec::new();
    find(&hierarchy("memory"), &format!("libpod-{container}"), DEEPEST, &mut found);
    found.iter().any(|cgroup| {
        // The first is of version 1, the second of version 2.
        let counters = fs::read_to_string(cgroup.join("memory.oom_control"))
            .or_else(|_| fs::read_to_string(cgroup.join("memory.events")))
            .unwrap_or_default();
        let mut kills = counters.lines().filter_map(|line| line.strip_prefix("oom_kill "));
        kills.any(|count| count != "0")
    })
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
    tracing::error!(cgroup.prefix = prefix, "processes of a build or a container survive being killed");
    false
}

/// What the cgroups of this process's builds begin with. `place` tells services apart. Underscores, because systemd
/// reads a dash as a parent.
pub(super) fn prefix(place: &str) -> io::Result<String> {
    let pid = std::process::id();
    Ok(format!("{place}{pid}_{}_", start_time(pid.cast_signed())?))
}

/// The name of one build's cgroup. The mark at its end keeps it from being the beginning of another's, who would be
/// killed with it: without it, build 1 is in the name of build 10.
pub(super) fn name(prefix: &str, build: u64) -> String {
    format!("{prefix}{build}_")
}

/// The prefixes of builds in this place whose process is gone.
pub(super) fn abandoned(place: &str) -> BTreeSet<String> {
    let mut found = Vec::new();
    find(&hierarchy("pids"), place, DEEPEST, &mut found);
    let owners = found.iter().filter_map(|path| {
        let mut parts = path.file_name()?.to_str()?.strip_prefix(place)?.split('_');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    owners
        .filter(|(pid, started): &(i32, u64)| start_time(*pid).ok() != Some(*started))
        .map(|(pid, started)| format!("{place}{pid}_{started}_"))
        .collect()
}

/// Returns whether there was a process. Where there was none, it removes the empty cgroups: Podman does so too, unless
/// it was killed itself.
fn kill_once(prefix: &str) -> bool {
    let mut found = Vec::new();
    find(&hierarchy("pids"), prefix, DEEPEST, &mut found);
    let mut seen = false;
    for cgroup in &found {
        let listed = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
        for pid in listed.lines().filter_map(|pid| pid.parse().ok()) {
            seen = true;
            kill(pid, prefix);
        }
    }
    if !seen && !found.is_empty() {
        remove_empty(prefix);
    }
    seen
}

/// Removes these cgroups from every hierarchy. One that is in use again refuses.
fn remove_empty(prefix: &str) {
    let mut found = Vec::new();
    find(Path::new(ROOT), prefix, DEEPEST, &mut found);
    for cgroup in found.iter().rev() {
        let _ = fs::remove_dir(cgroup);
    }
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
        tracing::error!(%error, process.pid = pid, "cannot kill a process of a build or a container");
    }
}

/// The tree of cgroups v2, or that of one controller of version 1.
fn hierarchy(controller: &str) -> PathBuf {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").exists() { root.to_path_buf() } else { root.join(controller) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_of_a_build_is_not_in_the_name_of_another() {
        let prefix = prefix("slipway_build_0123456789abcdef_").unwrap();
        let names: Vec<String> = (0..120).map(|build| name(&prefix, build)).collect();
        for (build, own) in names.iter().enumerate() {
            let found: Vec<_> = names.iter().filter(|other| other.contains(own.as_str())).collect();
            assert_eq!(found, [own], "giving up build {build} would kill others");
        }
    }
}
