use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use slipway_kernel::ApiKeyId;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use crate::service::ApiKeys;

/// Deletes one of the caller's API keys. Every gateway refuses it within a second.
#[utoipa::path(
    delete,
    path = "/api/v1/api-keys/{id}",
    tag = "auth",
    params(("id" = String, Path, description = "The key")),
    responses(
        (status = 204, description = "The key is deleted"),
        (status = 401, description = "Not signed in", body = ProblemBody),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(api_key.id = %id))]
pub(crate) async fn delete_api_key(
    keys: Data<ApiKeys>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: Path<ApiKeyId>,
) -> Result<HttpResponse, Problem> {
    keys.delete(caller.user_id(), *id, origin).await?;
    Ok(HttpResponse::NoContent().finish())
}
