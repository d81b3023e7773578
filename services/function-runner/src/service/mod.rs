//! The use cases: each opens its own transaction, and no network call happens inside one.

mod async_runs;
mod attempts;
mod build_follow;
mod builds;
mod collection;
mod deleted_owners;
mod deployments;
mod executions;
mod failure;
mod functions;
mod invocations;
mod recovery;
mod resealing;
mod secrets;
mod signatures;
mod signing_keys;
mod trail;
mod triggers;
mod underway;
mod versions;

pub(crate) use async_runs::{AsyncConfig, AsyncRuns};
pub(crate) use build_follow::{BuildFollower, BuildNews};
pub(crate) use builds::Builds;
pub(crate) use collection::{CollectionSettings, VersionLimits};
pub(crate) use deleted_owners::DeletedOwners;
pub(crate) use deployments::{DeployRequest, DeploymentLimits, Deployments, Target};
pub(crate) use executions::Executions;
pub(crate) use failure::InvokeError;
pub(crate) use functions::Functions;
pub(crate) use invocations::{Invocations, Relayed};
pub(crate) use secrets::Secrets;
pub(crate) use signing_keys::SigningKeys;
pub(crate) use underway::RunsUnderway;
