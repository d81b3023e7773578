use actix_web::web::{self, Data};
use slipway_kernel::DeploymentId;
use slipway_models::functions::DeploymentBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem};

use crate::service::Deployments;

/// Shows one of the caller's deployments.
#[utoipa::path(
    get,
    path = "/api/v1/deployments/{id}",
    tag = "functions",
    params(("id" = String, Path, description = "The deployment")),
    responses(
        (status = 200, description = "The deployment", body = DeploymentBody),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(deployment.id = %id))]
pub(crate) async fn deployment(
    deployments: Data<Deployments>,
    caller: Caller,
    id: web::Path<DeploymentId>,
) -> Result<web::Json<DeploymentBody>, Problem> {
    Ok(web::Json(deployments.find(caller.user_id(), *id).await?.into()))
}
