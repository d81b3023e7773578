use actix_web::web::{self, Data};
use slipway_kernel::FunctionId;
use slipway_models::functions::{FunctionBody, RollbackRequest};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Json, Problem, RequestOrigin};

use crate::error::FunctionError;
use crate::service::Functions;

/// Has an earlier version of one of the caller's functions answer its calls, at once and without a build.
#[utoipa::path(
    post,
    path = "/api/v1/functions/{id}/rollback",
    tag = "functions",
    params(("id" = String, Path, description = "The function")),
    request_body = RollbackRequest,
    responses(
        (status = 200, description = "The function as it is now; also where that version answered already", body = FunctionBody),
        (status = 404, description = "There is no such function or version, or it is another's", body = ProblemBody),
        (status = 409, description = "`version_failed`, `version_not_ready`, or `version_removed`: its image is no longer kept", body = ProblemBody),
        (status = 422, description = "`validation_failed`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
pub(crate) async fn roll_back(
    functions: Data<Functions>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: web::Path<FunctionId>,
    Json(asked): Json<RollbackRequest>,
) -> Result<web::Json<FunctionBody>, Problem> {
    let (functions, owner, id) = (functions.into_inner(), caller.user_id(), *id);
    // A task of its own: a client that hangs up leaves no version that is written and not known.
    let rolled_back =
        tokio::spawn(async move { functions.roll_back(owner, id, asked.version, origin).await });
    let function = rolled_back.await.map_err(FunctionError::from)??;
    Ok(web::Json(function.shown_to(caller.handle())))
}
