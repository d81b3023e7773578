use actix_web::web::{self, Data};
use slipway_kernel::ExecutionId;
use slipway_models::functions::ExecutionBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem};

use crate::service::Executions;

/// Shows one of the caller's executions.
#[utoipa::path(
    get,
    path = "/api/v1/executions/{id}",
    tag = "functions",
    params(("id" = String, Path, description = "The execution")),
    responses(
        (status = 200, description = "The execution", body = ExecutionBody),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(execution.id = %id))]
pub(crate) async fn execution(
    executions: Data<Executions>,
    caller: Caller,
    id: web::Path<ExecutionId>,
) -> Result<web::Json<ExecutionBody>, Problem> {
    Ok(web::Json(executions.find(caller.user_id(), *id).await?.into()))
}
