use std::{fs, io};

/// When a process started, in clock ticks since boot: field 22 of `proc_pid_stat(5)`. The second field, the name, may
/// hold anything and ends at the last parenthesis.
pub(crate) fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    stat.rsplit_once(')')
        .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19)?.parse().ok())
        .ok_or_else(|| io::Error::other("no start time in /proc/<pid>/stat"))
}
