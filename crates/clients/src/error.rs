use std::error::Error;
use std::time::Duration;

use slipway_models::problem::{FieldError, ProblemBody};

/// Says why a client cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The base URL is none.
    #[error(
        "not the URL of a server: expected http:// or https://, a host, and neither credentials nor a query"
    )]
    Url,
    /// TLS cannot be set up, such as where the system has no certificate authorities.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// Why a call has no answer of the kind that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service refused, in the platform's own words.
    #[error("{}", .problem.detail)]
    Problem {
        /// What it said.
        problem: Box<ProblemBody>,
        /// When it asked to be called again.
        retry_after: Option<Duration>,
    },
    /// Something answered, but not as the platform does: often a proxy on the way, or another server altogether.
    #[error("the server gave an answer that is not the platform's (status {status}): {reason}")]
    Foreign {
        /// The HTTP status.
        status: u16,
        /// What was wrong with the answer.
        reason: String,
    },
    /// No answer came before the deadline. The request may have been carried out.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The request could not be sent, or the connection broke. Unless it never stood, the request may have been
    /// carried out.
    #[error("cannot reach the server: {0}")]
    Unreachable(String),
    /// What was to be sent cannot be read.
    #[error("cannot read what is to be sent: {0}")]
    Source(#[from] std::io::Error),
}

impl ClientError {
    /// Returns the HTTP status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem { problem, .. } => Some(problem.status),
            Self::Foreign { status, .. } => Some(*status),
            Self::TimedOut | Self::Unreachable(_) | Self::Source(_) => None,
        }
    }

    /// Returns the problem, where the platform gave one.
    pub fn problem(&self) -> Option<&ProblemBody> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// Returns the problem's stable code.
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| problem.code.as_str())
    }

    /// Returns the fields at fault.
    pub fn errors(&self) -> &[FieldError] {
        self.problem().map_or(&[], |problem| &problem.errors)
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(fault: reqwest::Error) -> Self {
        if fault.is_timeout() {
            return Self::TimedOut;
        }
        Self::Unreachable(innermost(&fault))
    }
}

/// The outer errors only say that it failed; the innermost says why.
pub(crate) fn innermost(fault: &dyn Error) -> String {
    let mut cause = fault;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
