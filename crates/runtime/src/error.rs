use std::time::Duration;

/// What can go wrong with a container runtime. No type of a client library leaks through it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The container, image or network is not there.
    #[error("not found: {what}")]
    NotFound { what: String },
    /// Nobody answers, or the connection broke off: worth trying again.
    #[error("the container runtime is unavailable: {cause}")]
    Unavailable { cause: String },
    /// The runtime answered, and said no. `what` is its own wording.
    #[error("the container runtime refused: {what}")]
    Refused { what: String },
    /// The build ran and failed by its own fault. `log_tail` is the end of its log, at most 8 KiB.
    #[error("the build failed: {message}")]
    BuildFailed { message: String, log_tail: String },
    /// A build was ended before it filled the disk.
    #[error(
        "the build was ended because the disk has {} MiB left, and builds have to leave {} MiB free",
        free >> 20, left_free >> 20
    )]
    DiskShort { free: u64, left_free: u64 },
    /// This host, or the way the runtime runs on it, cannot do that at all. `what` says why.
    #[error("this host cannot do that: {what}")]
    Unsupported { what: String },
    #[error("{what} took longer than {after:?}")]
    TimedOut { what: &'static str, after: Duration },
    /// An answer that this crate does not understand.
    #[error("unexpected answer of the container runtime: {what}")]
    Unexpected { what: String },
}
