//! The use cases: each opens its own transaction, and no network call happens inside one.

mod builds;
mod deployments;
mod functions;
mod recovery;
mod versions;

pub(crate) use builds::Builds;
pub(crate) use deployments::{DeployRequest, DeploymentLimits, Deployments, Target};
pub(crate) use functions::Functions;
