use std::io;
use std::time::Duration;

use slipway_clients::ClientError;
use slipway_models::problem::ProblemBody;

/// What kind of thing went wrong: the exit status. [`crate::arguments::EXIT_STATUSES`] documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Function = 1,
    Usage = 2,
    NotSignedIn = 3,
    NotFound = 4,
    Refused = 5,
    Unavailable = 6,
    Local = 7,
    Interrupted = 130,
    BrokenPipe = 141,
}

/// Why a command failed, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) problem: Option<Box<ProblemBody>>,
}

impl Failure {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, problem: None }
    }

    /// The function's build, its handler or its deadline failed: not the platform.
    pub(crate) fn function(message: impl Into<String>) -> Self {
        Self::new(Kind::Function, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(crate) fn not_signed_in(message: impl Into<String>) -> Self {
        Self::new(Kind::NotSignedIn, message).hint("run: slipway login")
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// A fault of this machine, such as a file that cannot be read.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::new(Kind::Local, message)
    }

    /// The person changed their mind.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says which of several things failed.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.message = format!("{name}: {}", self.message);
        self
    }

    pub(crate) fn exit_status(&self) -> u8 {
        self.kind as u8
    }

    /// Tells a failure that nobody is left to read about.
    pub(crate) fn is_silent(&self) -> bool {
        self.kind == Kind::BrokenPipe
    }

    pub(crate) fn is_not_signed_in(&self) -> bool {
        self.kind == Kind::NotSignedIn
    }

    /// Tells a failure that may be gone in a moment.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    fn from_problem(problem: Box<ProblemBody>, retry_after: Option<Duration>) -> Self {
        let kind = match (problem.code.as_str(), problem.status) {
            ("function_failed" | "function_timed_out", _) => Kind::Function,
            (_, 401) => Kind::NotSignedIn,
            (_, 404) => Kind::NotFound,
            (_, 429 | 500..) => Kind::Unavailable,
            _ => Kind::Refused,
        };
        let hint = match kind {
            Kind::NotSignedIn => Some("run: slipway login".to_owned()),
            Kind::Unavailable => {
                retry_after.map(|pause| format!("try again in {} s", pause.as_secs().max(1)))
            }
            _ => None,
        };
        Self { kind, message: problem.detail.clone(), hint, problem: Some(problem) }
    }
}

impl From<ClientError> for Failure {
    fn from(fault: ClientError) -> Self {
        match fault {
            ClientError::Problem { problem, retry_after } => Self::from_problem(problem, retry_after),
            ClientError::Source(_) => Self::local(fault.to_string()),
            ClientError::Foreign { .. } => {
                Self::new(Kind::Unavailable, fault.to_string()).hint("is the URL that of a Slipway gateway?")
            }
            ClientError::TimedOut => Self::new(Kind::Unavailable, fault.to_string()),
            ClientError::Unreachable(_) => {
                Self::new(Kind::Unavailable, fault.to_string()).hint("is the platform running at that URL?")
            }
        }
    }
}

/// A fault of standard output; files name themselves with [`Failure::local`].
impl From<io::Error> for Failure {
    fn from(fault: io::Error) -> Self {
        let kind = if fault.kind() == io::ErrorKind::BrokenPipe { Kind::BrokenPipe } else { Kind::Local };
        Self::new(kind, format!("cannot write the output: {fault}"))
    }
}
