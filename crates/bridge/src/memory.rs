//! The peak memory of the instance.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use rustix::process::Pid;

/// Where a container finds the peak of its own control group: version 2 (Linux 5.19), then version 1.
const CONTROL_GROUP_FILES: [&str; 2] =
    ["/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes"];

/// Reads the peak of the control group, or that of the worker alone where no control group shows one.
pub(crate) struct PeakMemory {
    control_group: Option<File>,
    worker: Pid,
}

impl PeakMemory {
    pub(crate) fn new(worker: Pid) -> Self {
        let control_group = CONTROL_GROUP_FILES.iter().find_map(|path| File::open(path).ok());
        Self { control_group, worker }
    }

    /// Returns the peak so far, in bytes.
    pub(crate) fn read(&self) -> Option<u64> {
        match &self.control_group {
            Some(file) => {
                let mut digits = [0; 32];
                let length = file.read_at(&mut digits, 0).ok()?;
                std::str::from_utf8(&digits[..length]).ok()?.trim().parse().ok()
            }
            None => high_water_mark(self.worker),
        }
    }
}

fn high_water_mark(process: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = kibibytes.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
