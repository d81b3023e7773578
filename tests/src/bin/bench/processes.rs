//! What processes cost, by `proc_pid_stat(5)` and `proc_pid_status(5)`, and the processors that they run on.

use std::fs;
use std::process::{Command, Stdio};

/// The kernel's unit in `/proc` (`sysconf(_SC_CLK_TCK)` of Linux on every processor that Slipway runs on).
const TICKS_PER_SECOND: f64 = 100.0;

/// The processor of a proxy that is measured, and the one of everything else.
pub(crate) const PROXY: &str = "0";
pub(crate) const BESIDE: &str = "1";

/// Returns the processor time of a process so far, in seconds: `utime` and `stime`.
pub(crate) fn cpu_seconds(process: u32) -> f64 {
    let ticks: u32 = stat(process).iter().skip(11).take(2).map(|field| number(field)).sum();
    f64::from(ticks) / TICKS_PER_SECOND
}

/// Lists a process and all that descend from it.
pub(crate) fn family_of(process: u32) -> Vec<u32> {
    let all: Vec<u32> = fs::read_dir("/proc")
        .expect("the processes")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let mut family = vec![process];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(all.iter().filter(|&&child| parent_of(child) == Some(parent)));
        at += 1;
    }
    family
}

/// Returns what a process has in memory (RSS), in KiB.
pub(crate) fn resident(process: u32) -> u32 {
    memory(process, "VmRSS:")
}

/// Returns the most that a process had in memory since [`forget_peak`], in KiB.
pub(crate) fn peak(process: u32) -> u32 {
    memory(process, "VmHWM:")
}

/// Lets the peak of a process's memory begin again from what it has now.
pub(crate) fn forget_peak(process: u32) {
    fs::write(format!("/proc/{process}/clear_refs"), "5").expect("the process is ours");
}

/// Ties all threads of a process, and what it starts from now on, to processors.
pub(crate) fn pin(process: u32, processors: &str) {
    let pinned = Command::new("taskset")
        .args(["-a", "-c", "-p", processors, &process.to_string()])
        .stdout(Stdio::null())
        .status();
    assert!(pinned.is_ok_and(|status| status.success()), "a process is tied to processor {processors}");
}

/// As long as this is, the bench leaves the proxy's processor alone, as does what it starts.
pub(crate) struct Aside {
    allowed_before: String,
}

impl Aside {
    pub(crate) fn step() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("the own process");
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let allowed_before = allowed.expect("the own processors").trim().to_owned();
        pin(std::process::id(), BESIDE);
        Self { allowed_before }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        pin(std::process::id(), &self.allowed_before);
    }
}

fn memory(process: u32, what: &str) -> u32 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("its memory");
    number(line.trim().trim_end_matches(" kB"))
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()
}

/// Returns the fields behind a process's name.
fn stat(process: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process");
    let fields = stat.rsplit(") ").next().expect("fields behind the name").split(' ');
    fields.map(str::to_owned).collect()
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}
