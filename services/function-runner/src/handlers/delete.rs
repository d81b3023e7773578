use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use slipway_kernel::FunctionId;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use crate::error::FunctionError;
use crate::service::Functions;

/// Deletes one of the caller's functions, with its versions, its runs and their logs.
#[utoipa::path(
    delete,
    path = "/api/v1/functions/{id}",
    tag = "functions",
    params(("id" = String, Path, description = "The function")),
    responses(
        (status = 204, description = "It is gone; calls in flight were cancelled"),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
pub(crate) async fn delete(
    functions: Data<Functions>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: web::Path<FunctionId>,
) -> Result<HttpResponse, Problem> {
    let (functions, owner, id) = (functions.into_inner(), caller.user_id(), *id);
    // A task of its own: a client that hangs up half-way leaves nothing half-deleted.
    let deleted = tokio::spawn(async move { functions.delete(owner, id, origin).await });
    deleted.await.map_err(FunctionError::from)??;
    Ok(HttpResponse::NoContent().finish())
}
