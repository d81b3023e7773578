use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use slipway_kernel::{FunctionId, SigningKeyId};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use crate::error::FunctionError;
use crate::service::SigningKeys;

/// Deletes a key that signs calls of one of the caller's functions. It lets in no call from now on.
#[utoipa::path(
    delete,
    path = "/api/v1/functions/{id}/keys/{key}",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The function"),
        ("key" = String, Path, description = "The key"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such key or function, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %path.0))]
pub(crate) async fn delete_key(
    keys: Data<SigningKeys>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    path: web::Path<(FunctionId, SigningKeyId)>,
) -> Result<HttpResponse, Problem> {
    let ((id, key), keys, owner) = (path.into_inner(), keys.into_inner(), caller.user_id());
    // A task of its own: a client that hangs up leaves no key that is gone and still good.
    let deleted = tokio::spawn(async move { keys.delete(owner, id, key, origin).await });
    deleted.await.map_err(FunctionError::from)??;
    Ok(HttpResponse::NoContent().finish())
}
