//! One endpoint a file.

mod configure;
mod delete;
mod delete_secret;
mod deploy;
mod deployment;
mod deployment_log;
mod deployments;
mod execution;
mod executions;
mod function;
mod functions;
mod idempotency;
mod invoke;
mod logs;
mod roll_back;
mod secrets;
mod set_secret;
mod upload;

pub(crate) use configure::*;
pub(crate) use delete::*;
pub(crate) use delete_secret::*;
pub(crate) use deploy::*;
pub(crate) use deployment::*;
pub(crate) use deployment_log::*;
pub(crate) use deployments::*;
pub(crate) use execution::*;
pub(crate) use executions::*;
pub(crate) use function::*;
pub(crate) use functions::*;
pub(crate) use idempotency::Idempotency;
pub(crate) use invoke::*;
pub(crate) use logs::*;
pub(crate) use roll_back::*;
pub(crate) use secrets::*;
pub(crate) use set_secret::*;
