use actix_web::web::{self, Data};
use slipway_kernel::ExecutionId;
use slipway_models::functions::ExecutionBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use crate::service::AsyncRuns;

/// Calls one of the caller's executions off. One that is queued never begins; one that runs is ended with its instance.
#[utoipa::path(
    post,
    path = "/api/v1/executions/{id}/cancel",
    tag = "functions",
    params(("id" = String, Path, description = "The execution")),
    responses(
        (status = 200, description = "The execution, which is cancelled; also where it was before", body = ExecutionBody),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
        (status = 409, description = "`execution_finished`: it has ended otherwise", body = ProblemBody),
        (status = 503, description = "`unavailable`: it has not ended yet", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(execution.id = %id))]
pub(crate) async fn cancel(
    runs: Data<AsyncRuns>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: web::Path<ExecutionId>,
) -> Result<web::Json<ExecutionBody>, Problem> {
    Ok(web::Json(runs.call_off(caller.user_id(), *id, origin).await?.into()))
}
