use slipway_db::DbError;
use slipway_kernel::ErrorCode;
use slipway_models::problem::FieldError;
use slipway_runtime::RuntimeError;
use slipway_sealing::{OpenError, SealError};
use slipway_web::Problem;
use slipway_web::http::StatusCode;
use slipway_web::http::header::{HeaderValue, WWW_AUTHENTICATE};

use crate::archive::ArchiveError;
use crate::domain::{MalformedSignature, SIGNATURE_WINDOW_SECONDS};
use crate::project::ProjectError;
use crate::records::TooManyFollowers;

const RETRY_A_DEPLOYMENT_SECONDS: u32 = 30;
const RETRY_A_RUN_SECONDS: u32 = 5;
const RETRY_TO_FOLLOW_SECONDS: u32 = 10;
const RETRY_A_SIGNED_CALL_SECONDS: u32 = 60;

/// What functions and deployments can answer other than what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FunctionError {
    #[error("there is no such function")]
    NotFound,
    #[error("sign in first: there is no public function at this path")]
    SignInToCall,
    #[error("there is no such deployment")]
    DeploymentNotFound,
    #[error("there is no such execution")]
    ExecutionNotFound,
    #[error("there is no such secret")]
    SecretNotFound,
    #[error("{0}")]
    TooManySecrets(String),
    #[error("there is no such signing key")]
    SigningKeyNotFound,
    #[error("a function has at most {0} signing keys")]
    TooManySigningKeys(usize),
    #[error("the signature cannot be read: {0}")]
    MalformedSignature(#[from] MalformedSignature),
    #[error("the signature was made more than {SIGNATURE_WINDOW_SECONDS} s ago or ahead, or has expired")]
    SignatureExpired,
    #[error("the signature is of no key of a function at this path")]
    InvalidSignature,
    #[error("the signature was used before: sign each request anew, with a nonce of its own")]
    SignatureReplayed,
    #[error("too many signed calls came in lately for their signatures to be kept apart")]
    TooManySignatures,
    #[error("no version of the function is active")]
    NotActive,
    #[error("the function has no version {0}")]
    VersionNotFound(i32),
    #[error("version {0} could not be built: only one that was ready can answer calls")]
    VersionFailed(i32),
    #[error("version {0} is still on its way")]
    VersionNotReady(i32),
    #[error("the image of version {0} is no longer kept: deploy its files again")]
    VersionRemoved(i32),
    #[error("the run has ended")]
    ExecutionFinished,
    #[error("the run has not ended: it can be replayed when it has")]
    ExecutionNotFinished,
    #[error("what the run was given is not kept: only runs with mode=async can be replayed")]
    InputNotKept,
    #[error("the run has not ended yet; it was told to")]
    NotCalledOff,
    #[error("{0} runs that nobody waits for are queued or under way; that is the most")]
    BacklogFull(usize),
    #[error("what a run that nobody waits for is given has at most {0} bytes")]
    InputTooLarge(u64),
    #[error("fields are at fault")]
    Invalid(Vec<FieldError>),
    #[error(transparent)]
    Archive(ArchiveError),
    #[error(transparent)]
    Project(ProjectError),
    #[error("too many deployments are on their way; {0} is the most")]
    TooManyBuilds(usize),
    #[error("{error}\n\n{log}")]
    BuildFailed { error: String, log: String },
    #[error("the dependencies were not installed: {0}")]
    InstallFailed(String),
    #[error("the function was not compiled: {0}")]
    CompileFailed(String),
    #[error(transparent)]
    TooManyFollowers(#[from] TooManyFollowers),
    #[error("the deployment was interrupted; it goes on when the service is back")]
    Interrupted,
    #[error("what was on its way before the restart is still being looked through")]
    Starting,
    #[error("the base image {0} is missing: build it by scripts/build-runtimes")]
    NoBaseImage(String),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Sealing(#[from] SealError),
    #[error(transparent)]
    Opening(#[from] OpenError),
    #[error("the host gives no random bytes")]
    NoChance,
    #[error("the host's files: {0}")]
    Host(#[from] std::io::Error),
    #[error("blocking work did not come to its end: {0}")]
    Blocking(#[from] tokio::task::JoinError),
}

impl From<ArchiveError> for FunctionError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Host(cause) => Self::Host(cause),
            fault => Self::Archive(fault),
        }
    }
}

impl From<ProjectError> for FunctionError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Host(cause) => Self::Host(cause),
            ProjectError::Config(faults) => Self::Invalid(faults),
            fault => Self::Project(fault),
        }
    }
}

impl From<FunctionError> for Problem {
    fn from(error: FunctionError) -> Self {
        let detail = error.to_string();
        let refused = |code| Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::new(code), &detail);
        let conflict = |code| Self::new(StatusCode::CONFLICT, ErrorCode::new(code), &detail);
        let unauthenticated = |code| {
            Self::unauthenticated(&detail)
                .coded(ErrorCode::new(code))
                .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"slipway\""))
        };
        match error {
            FunctionError::NotFound
            | FunctionError::DeploymentNotFound
            | FunctionError::ExecutionNotFound
            | FunctionError::SecretNotFound
            | FunctionError::SigningKeyNotFound
            | FunctionError::VersionNotFound(_) => Self::not_found(detail),
            FunctionError::SignInToCall => unauthenticated("unauthenticated"),
            FunctionError::MalformedSignature(_) => unauthenticated("malformed_signature"),
            FunctionError::SignatureExpired => unauthenticated("signature_expired"),
            FunctionError::InvalidSignature => unauthenticated("invalid_signature"),
            FunctionError::SignatureReplayed => unauthenticated("signature_replayed"),
            FunctionError::TooManySignatures => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::new("too_many_signatures"), detail)
                    .retry_after(RETRY_A_SIGNED_CALL_SECONDS)
            }
            FunctionError::NotActive => conflict("function_not_active"),
            FunctionError::ExecutionFinished => conflict("execution_finished"),
            FunctionError::ExecutionNotFinished => conflict("execution_not_finished"),
            FunctionError::InputNotKept => conflict("input_not_kept"),
            FunctionError::InputTooLarge(limit) => Self::body_too_large(limit),
            FunctionError::BacklogFull(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::new("backlog_full"), detail)
                    .retry_after(RETRY_A_RUN_SECONDS)
            }
            FunctionError::VersionFailed(_) => conflict("version_failed"),
            FunctionError::VersionNotReady(_) => conflict("version_not_ready"),
            FunctionError::VersionRemoved(_) => conflict("version_removed"),
            FunctionError::Invalid(faults) => Self::validation(faults),
            FunctionError::Archive(_) => refused("invalid_archive"),
            FunctionError::Project(_) => refused("invalid_project"),
            FunctionError::TooManySecrets(_) => refused("too_many_secrets"),
            FunctionError::TooManySigningKeys(_) => refused("too_many_signing_keys"),
            FunctionError::BuildFailed { .. }
            | FunctionError::InstallFailed(_)
            | FunctionError::CompileFailed(_) => refused("build_failed"),
            FunctionError::TooManyBuilds(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::new("too_many_builds"), detail)
                    .retry_after(RETRY_A_DEPLOYMENT_SECONDS)
            }
            FunctionError::TooManyFollowers(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::new("too_many_followers"), detail)
                    .retry_after(RETRY_TO_FOLLOW_SECONDS)
            }
            FunctionError::Database(cause) if cause.is_transient() => Self::unavailable(cause),
            FunctionError::Interrupted
            | FunctionError::NotCalledOff
            | FunctionError::Starting
            | FunctionError::NoBaseImage(_)
            | FunctionError::Runtime(_) => Self::unavailable(error),
            FunctionError::Database(_)
            | FunctionError::Host(_)
            | FunctionError::Sealing(_)
            | FunctionError::Opening(_)
            | FunctionError::NoChance
            | FunctionError::Blocking(_) => Self::internal(error),
        }
    }
}
