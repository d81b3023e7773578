//! What a run that failed comes to: on its record, and for its caller.

use slipway_kernel::ExecutionId;
use slipway_models::functions::{ExecutionError, ExecutionStatus};
use tokio::task::JoinError;

use crate::instances::{Busy, NoInstance, StartFailure};
use crate::records::NotRecorded;
use crate::spool::SpoolError;

/// Says why a call has no answer of the handler's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvokeError {
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error("the run cannot be recorded: {0}")]
    NotRecorded(#[from] NotRecorded),
    #[error("{}", .error.message)]
    Failed { id: ExecutionId, error: ExecutionError },
    #[error("{}", .error.message)]
    TimedOut { id: ExecutionId, error: ExecutionError },
    #[error("the function was deleted while this ran")]
    Cancelled { id: ExecutionId },
    #[error("the run was called off")]
    CalledOff { id: ExecutionId },
    #[error("{cause}")]
    Unavailable { id: ExecutionId, cause: String },
    #[error("the run was broken off: {cause}")]
    Interrupted { cause: JoinError },
    #[error("the run succeeded without an answer")]
    NoHead,
    #[error("the end of the run cannot be recorded: {cause}")]
    EndNotRecorded { id: ExecutionId, cause: SpoolError },
}

/// Says how a run ended other than with an answer.
pub(super) enum Failure {
    Handler(ExecutionError),
    TimedOut(ExecutionError),
    Cancelled,
    CalledOff,
    Stopped,
    Unavailable(String),
}

impl Failure {
    /// Says what the record states and what the caller is told.
    pub(super) fn describe(self, id: ExecutionId) -> (ExecutionStatus, ExecutionError, InvokeError) {
        match self {
            Self::Handler(error) => {
                (ExecutionStatus::Failed, error.clone(), InvokeError::Failed { id, error })
            }
            Self::TimedOut(error) => {
                (ExecutionStatus::TimedOut, error.clone(), InvokeError::TimedOut { id, error })
            }
            Self::Cancelled => {
                let error = platform_error("function_deleted", "the function was deleted while this ran");
                (ExecutionStatus::Cancelled, error, InvokeError::Cancelled { id })
            }
            Self::CalledOff => (ExecutionStatus::Cancelled, called_off(), InvokeError::CalledOff { id }),
            Self::Stopped => {
                let error =
                    platform_error("runner_restarted", "the function runner was stopped while this ran");
                let cause = error.message.clone();
                (ExecutionStatus::Failed, error, InvokeError::Unavailable { id, cause })
            }
            Self::Unavailable(cause) => {
                let error =
                    platform_error("instance_unavailable", "the platform could not start an instance");
                (ExecutionStatus::Failed, error, InvokeError::Unavailable { id, cause })
            }
        }
    }

    pub(super) fn stopped_beside_another() -> Self {
        let message = "its instance was stopped while this ran: another of the instance's calls was past its deadline, \
                       was called off or broke it";
        Self::Handler(platform_error("instance_stopped", message))
    }

    pub(super) fn timed_out(message: &str) -> Self {
        Self::TimedOut(platform_error("timed_out", &format!("{message} before the deadline")))
    }
}

impl From<NoInstance> for Failure {
    fn from(reason: NoInstance) -> Self {
        match reason {
            NoInstance::TimedOut(_) => Self::TimedOut(platform_error("timed_out", &reason.to_string())),
            NoInstance::Failed(StartFailure::Handler(failure)) => Self::Handler(failure.into()),
            NoInstance::Failed(StartFailure::Platform(cause)) => Self::Unavailable(cause),
            NoInstance::Failed(StartFailure::Removed) => Self::Cancelled,
            NoInstance::Failed(StartFailure::Stopping) => Self::Stopped,
        }
    }
}

/// Says what the record of a run that was called off states.
pub(super) fn called_off() -> ExecutionError {
    platform_error("cancelled", "the run was called off")
}

pub(super) fn platform_error(kind: &str, message: &str) -> ExecutionError {
    ExecutionError { kind: kind.to_owned(), message: message.to_owned(), trace: None }
}
