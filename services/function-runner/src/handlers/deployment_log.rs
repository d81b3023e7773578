use actix_web::web::{self, Data};
use slipway_kernel::DeploymentId;
use slipway_models::functions::BuildLog;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem};

use crate::service::Deployments;

/// Shows what the build of one of the caller's deployments printed: so far, where it is on its way.
#[utoipa::path(
    get,
    path = "/api/v1/deployments/{id}/logs",
    tag = "functions",
    params(("id" = String, Path, description = "The deployment")),
    responses(
        (status = 200, description = "The log's last 1 MiB", body = BuildLog),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(deployment.id = %id))]
pub(crate) async fn deployment_log(
    deployments: Data<Deployments>,
    caller: Caller,
    id: web::Path<DeploymentId>,
) -> Result<web::Json<BuildLog>, Problem> {
    Ok(web::Json(BuildLog { log: deployments.log(caller.user_id(), *id).await? }))
}
