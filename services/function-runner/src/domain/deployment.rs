use chrono::{DateTime, Utc};
use slipway_kernel::{DeploymentId, FunctionId, UserId};
use slipway_models::functions::{DeploymentBody, DeploymentStatus, FunctionConfigPatch, Runtime};

/// One version of a function, or the attempt at one.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// The deployment.
    pub id: DeploymentId,
    /// The function that it is a version of.
    pub function_id: FunctionId,
    /// Whose function it is.
    pub owner: UserId,
    /// Counts from 1 in each function.
    pub version: i32,
    /// What runs it.
    pub runtime: Runtime,
    /// The file that holds the handler, where `slipway.toml` names one.
    pub entry: Option<String>,
    /// Where it stands.
    pub status: DeploymentStatus,
    /// Why it failed.
    pub error: Option<String>,
    /// The name of its image, which says what is in it. None once it failed.
    pub image: Option<String>,
    /// What it changes of the function's configuration when it becomes active.
    pub config: FunctionConfigPatch,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it became active or failed.
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<Deployment> for DeploymentBody {
    fn from(deployment: Deployment) -> Self {
        Self {
            id: deployment.id,
            function_id: deployment.function_id,
            version: deployment.version,
            runtime: deployment.runtime,
            status: deployment.status,
            error: deployment.error,
            created_at: deployment.created_at,
            finished_at: deployment.finished_at,
        }
    }
}
