//! Why there is no instance.

use slipway_models::functions::ExecutionError;

use super::ledger::Shortage;
use super::queues::Full;

/// Says why a call got no instance and may not wait for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// As many calls as may are waiting already, for want of something.
    #[error("{0}, and {1}")]
    QueueFull(Full, Shortage),
    /// The function asks for more memory than the host gives to all functions together.
    #[error("the function needs more memory than the {host_mb} MiB that this host gives to functions")]
    TooLarge {
        /// What the host gives, in MiB.
        host_mb: u64,
    },
    /// The function asks for more memory than one owner's functions may have together.
    #[error("the function needs more memory than the {owner_mb} MiB that the functions of one owner may use")]
    TooLargeForOwner {
        /// What an owner may use, in MiB.
        owner_mb: u64,
    },
}

/// Says why a version's handler could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct CheckFailure {
    /// The exception's type, or a code such as `handler_missing` or `start_timed_out`.
    pub kind: String,
    /// The handler's own message.
    pub message: String,
    /// Where it happened, in the handler's own terms.
    pub trace: Option<String>,
    /// What was printed until then.
    pub log: String,
}

/// Says why an instance did not become ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartFailure {
    /// The function is at fault.
    #[error(transparent)]
    Handler(#[from] CheckFailure),
    /// The platform is.
    #[error("an instance could not be started: {0}")]
    Platform(String),
    /// The function was deleted meanwhile.
    #[error("the function was deleted")]
    Removed,
    /// The runner is being stopped.
    #[error("the function runner is stopping")]
    Stopping,
}

/// Says why a call got no instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoInstance {
    /// The one that was started for it did not become ready.
    #[error(transparent)]
    Failed(#[from] StartFailure),
    /// Its deadline came first, for want of something.
    #[error("no instance was ready before the deadline: {0}")]
    TimedOut(Shortage),
}

impl From<CheckFailure> for ExecutionError {
    fn from(failure: CheckFailure) -> Self {
        Self { kind: failure.kind, message: failure.message, trace: failure.trace }
    }
}

impl CheckFailure {
    pub(super) fn of(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), message: message.into(), trace: None, log: String::new() }
    }
}
