use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use slipway_kernel::FunctionId;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use super::set_secret::secret_name;
use crate::error::FunctionError;
use crate::service::Secrets;

/// Deletes a secret of one of the caller's functions. New calls do not know it any more.
#[utoipa::path(
    delete,
    path = "/api/v1/functions/{id}/secrets/{key}",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The function"),
        ("key" = String, Path, description = "The secret's name"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such secret or function, or it is another's", body = ProblemBody),
        (status = 422, description = "`validation_failed`: the name", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %path.0))]
pub(crate) async fn delete_secret(
    secrets: Data<Secrets>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    path: web::Path<(FunctionId, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, name) = path.into_inner();
    let (name, secrets, owner) = (secret_name(name)?, secrets.into_inner(), caller.user_id());
    // A task of its own: a client that hangs up leaves no secret that is gone and still told.
    let deleted = tokio::spawn(async move { secrets.delete(owner, id, name, origin).await });
    deleted.await.map_err(FunctionError::from)??;
    Ok(HttpResponse::NoContent().finish())
}
