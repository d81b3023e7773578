//! Pure types and rules of functions, their versions and their runs.

mod async_run;
pub mod config;
mod deployment;
mod execution;
mod function;
mod log_line;
mod secret;
mod signature;
mod signing_key;
pub mod stats;
mod version;

pub use async_run::{AsyncLimits, AsyncRun, Due, Input, Retry, Underway};
pub use deployment::Deployment;
pub use execution::{Execution, ExecutionFilter, Trigger};
pub use function::{Function, FunctionName, InvalidName};
pub use log_line::{LogFilter, LogLine, MAX_TIME_SKEW, id_at, without_nul};
pub use secret::{
    InvalidSecretName, MAX_SECRET_BYTES, MAX_SECRETS, MAX_SECRETS_BYTES, Sealed, Secret, SecretName,
};
pub use signature::{
    InvalidMark, MalformedSignature, SIGNATURE_HEADERS, SIGNATURE_WINDOW_SECONDS, ShownSignature,
    SignatureMark, SignedBy, SignedHead,
};
pub use signing_key::{MAX_SIGNING_KEY_NAME, MAX_SIGNING_KEYS, SIGNING_SECRET_PREFIX, SigningKey};
pub use version::{Revision, Version};
