//! The CPU time that the instance has used.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Where a container finds what its own control group has used, and how many of the file's units are a microsecond:
/// version 2, then version 1.
const CONTROL_GROUP_FILES: [(&str, u64); 2] =
    [("/sys/fs/cgroup/cpu.stat", 1), ("/sys/fs/cgroup/cpuacct/cpuacct.usage", 1_000)];

/// Reads the CPU time of the control group, in which every process of the instance is counted, ended ones too.
pub(crate) struct CpuTime {
    control_group: Option<(File, u64)>,
}

impl CpuTime {
    pub(crate) fn new() -> Self {
        let open = |(path, units): (&str, u64)| Some((File::open(path).ok()?, units));
        Self { control_group: CONTROL_GROUP_FILES.into_iter().find_map(open) }
    }

    /// Returns the user and system time so far, in microseconds; `None` where no control group shows it.
    pub(crate) fn read_us(&self) -> Option<u64> {
        let (file, units) = self.control_group.as_ref()?;
        let mut text = [0; 64];
        let length = file.read_at(&mut text, 0).ok()?;
        Some(first_number(&text[..length])? / units)
    }
}

/// Returns the number of the first line, behind its name where it has one.
fn first_number(text: &[u8]) -> Option<u64> {
    let line = text.split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_are_read() {
        assert_eq!(first_number(b"usage_usec 1234\nuser_usec 1000\nsystem_us"), Some(1234));
        assert_eq!(first_number(b"35914058\n"), Some(35_914_058));
        for unreadable in [&b""[..], b"\n", b"usage_usec\n", b"-1\n", b"\xff\n"] {
            assert_eq!(first_number(unreadable), None);
        }
    }
}
