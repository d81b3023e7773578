use std::path::PathBuf;
use std::time::Duration;

use crate::Labels;

/// One build of an image. It runs without capabilities, with the default seccomp filter, on a network of its own.
///
/// Two things are the Containerfile's to do:
/// - `RUN` steps come after a `USER` other than root: no build of Podman 4 has a user namespace, and root in it may
///   write its own cgroup's limits.
/// - Steps are cached by their content. A `LABEL` at the top that names the owner keeps caches of owners apart, and
///   lets [`prune_dangling`](crate::ContainerRuntime::prune_dangling) find the steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSpec {
    /// A tar file, plain or gzip; it is streamed, never held in memory.
    pub context: PathBuf,
    /// Path of the Containerfile inside the context.
    pub containerfile: String,
    /// The reference that the image gets.
    pub tag: String,
    pub labels: Labels,
    pub build_args: Labels,
    /// Name of a bridge network; `None` is Podman's default one. Never the host's.
    pub network: Option<String>,
    pub limits: BuildLimits,
    /// For the whole build, from sending the context to the tag.
    pub timeout: Duration,
}

/// Takes the log of a build, line by line, without the line ends.
pub type OnLine<'a> = dyn FnMut(&str) + Send + 'a;

/// Limits of each step of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildLimits {
    /// Bytes of memory; there is no swap beyond it.
    pub memory: u64,
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// Processes of the step's user; the kernel exempts root.
    pub processes: u64,
    /// Open files of one process; cut to the hard limit of this host.
    pub open_files: u64,
}

/// An image, by the hash of its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageId(pub(crate) String);

impl std::fmt::Display for ImageId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    pub id: ImageId,
    /// Full references; none for a step or for an image whose tag moved on.
    pub tags: Vec<String>,
    pub labels: Labels,
    /// Bytes, with the layers that it shares with others.
    pub size: u64,
}
