use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Labels, by which the platform finds again what it owns.
pub type Labels = BTreeMap<String, String>;

/// A container, by the id that the runtime gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(pub(crate) String);

impl fmt::Display for ContainerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One instance of a function. What is not here is not a choice: read-only root, user 1000:1000, no capabilities, no
/// new privileges, nothing of the host but `socket_directory` and `code_directory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSpec {
    /// Unique on the host; `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
    pub name: String,
    /// A reference of an image that is there: nothing is ever pulled. Its `/tmp` has mode 1777: runc gives the
    /// mode of the image's directory to what is mounted over it.
    pub image: String,
    /// Replaces the image's entry point and command; empty keeps them.
    pub command: Vec<String>,
    pub labels: Labels,
    /// Absolute; mounted read-only at `/run/slipway`. Its own mode and that of its socket must let others in
    /// (0711 and 0666): inside, the caller is neither its owner nor root.
    pub socket_directory: PathBuf,
    /// Absolute; mounted read-only at `/app` over what the image has there. Files may be laid into it while the
    /// instance runs; their modes must let others in.
    pub code_directory: Option<PathBuf>,
    pub limits: InstanceLimits,
    /// The name of an egress network that was made by [`ensure_network`](crate::ContainerRuntime::ensure_network);
    /// `None` is no network at all.
    pub network: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceLimits {
    /// Bytes of memory; there is no swap beyond it.
    pub memory: u64,
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// Processes and threads together.
    pub processes: u32,
    /// Open files of one process; cut to the hard limit of this host.
    pub open_files: u64,
    /// Bytes of `/tmp`, and again of `/dev/shm`: all that the instance can write. They count as memory.
    pub tmp: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerStatus {
    /// Created, never started.
    Created,
    Running,
    Exited,
    /// On its way up or down.
    Changing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerState {
    pub status: ContainerStatus,
    /// Of the first process, once it has exited.
    pub exit_code: Option<i32>,
    /// Whether the kernel killed a process of it, the first or another, for memory. Known until it is removed.
    pub out_of_memory: bool,
    /// Of the first process, as the host counts, while it runs.
    pub pid: Option<i32>,
}

/// A container found by its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedContainer {
    pub id: ContainerId,
    pub name: String,
    pub labels: Labels,
    pub status: ContainerStatus,
}

/// How a removal ended. Each means that no process of the container runs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    Removed,
    /// It was gone already.
    AlreadyGone,
    /// Its processes are killed, but the runtime did not confirm within a second: the record may still be there.
    /// Remove it again on the next sweep.
    OnlyKilled,
}
