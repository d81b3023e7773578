use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::{self, Data};
use slipway_kernel::FunctionId;
use slipway_models::functions::{NewSigningKeyBody, SigningKeyRequest};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Json, Problem, RequestOrigin};

use crate::error::FunctionError;
use crate::service::SigningKeys;

/// Makes a key that signs calls of one of the caller's functions. This answer alone has its secret: it is never kept,
/// so `Idempotency-Key` is not looked at. A key whose answer was lost can be deleted.
#[utoipa::path(
    post,
    path = "/api/v1/functions/{id}/keys",
    tag = "functions",
    params(("id" = String, Path, description = "The function")),
    request_body = SigningKeyRequest,
    responses(
        (status = 201, description = "The key, with its secret", body = NewSigningKeyBody),
        (status = 404, description = "There is no such function, or it is another's", body = ProblemBody),
        (status = 422, description = "`validation_failed`; `too_many_signing_keys`: there are 20", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
pub(crate) async fn create_key(
    keys: Data<SigningKeys>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: web::Path<FunctionId>,
    Json(request): Json<SigningKeyRequest>,
) -> Result<HttpResponse, Problem> {
    let (keys, owner, id) = (keys.into_inner(), caller.user_id(), *id);
    // A task of its own: a client that hangs up leaves no key that is written and not known.
    let created = tokio::spawn(async move { keys.create(owner, id, request, origin).await });
    let (key, secret) = created.await.map_err(FunctionError::from)??;
    let body = NewSigningKeyBody { key: key.into(), secret: secret.as_str().to_owned() };
    let mut answer = HttpResponse::Created().json(body);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}
