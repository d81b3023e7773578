use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Data;
use slipway_models::api_keys::{CreateApiKeyRequest, NewApiKeyBody};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Json, Problem, RequestOrigin};

use crate::error::AuthError;
use crate::service::ApiKeys;

/// Makes an API key, which acts for the caller within its scopes. This answer alone has the key itself: it is never
/// kept, so `Idempotency-Key` is not looked at. A key whose answer was lost can be deleted.
#[utoipa::path(
    post,
    path = "/api/v1/api-keys",
    tag = "auth",
    request_body = CreateApiKeyRequest,
    responses(
        (status = 201, description = "The key, and what is known of it", body = NewApiKeyBody),
        (status = 401, description = "Not signed in", body = ProblemBody),
        (status = 403, description = "`insufficient_scope`: an API key makes no keys", body = ProblemBody),
        (status = 422, description = "`validation_failed`; `too_many_api_keys`: there are 50", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn create_api_key(
    keys: Data<ApiKeys>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<CreateApiKeyRequest>,
) -> Result<HttpResponse, Problem> {
    let (keys, owner) = (keys.into_inner(), caller.user_id());
    // A task of its own: whether the client waits or not, the key is made whole.
    let created = tokio::spawn(async move { keys.create(owner, request, origin).await });
    let (key, secret) = created.await.map_err(AuthError::from)??;
    let mut answer = HttpResponse::Created();
    answer.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    Ok(answer.json(NewApiKeyBody { key: key.into(), secret: secret.expose().to_owned() }))
}
