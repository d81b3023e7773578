use std::sync::Arc;

use actix_web::web::{self, Data};
use slipway_kernel::FunctionId;
use slipway_models::functions::{FunctionBody, FunctionConfigPatch};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Json, Problem, RequestOrigin};

use crate::error::FunctionError;
use crate::service::Functions;

/// Changes how one of the caller's functions runs.
#[utoipa::path(
    patch,
    path = "/api/v1/functions/{id}",
    tag = "functions",
    params(("id" = String, Path, description = "The function")),
    request_body = FunctionConfigPatch,
    responses(
        (status = 200, description = "The function as it is now", body = FunctionBody),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
        (status = 422, description = "`validation_failed`, which names each field", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
pub(crate) async fn configure(
    functions: Data<Functions>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: web::Path<FunctionId>,
    Json(patch): Json<FunctionConfigPatch>,
) -> Result<web::Json<FunctionBody>, Problem> {
    let (functions, owner, id) = (functions.into_inner(), caller.user_id(), *id);
    // A task of its own: a client that hangs up leaves no configuration that is written and not known.
    let handle = Arc::clone(caller.handle());
    let configured = tokio::spawn(async move {
        functions.note_handle(owner, &handle).await?;
        functions.configure(owner, id, patch, origin).await
    });
    let function = configured.await.map_err(FunctionError::from)??;
    Ok(web::Json(function.shown_to(caller.handle())))
}
