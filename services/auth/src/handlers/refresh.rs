use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::auth::{RefreshRequest, TokenAnswer};
use slipway_models::problem::ProblemBody;
use slipway_web::{Json, Problem, RequestOrigin};

use crate::handlers::tokens;
use crate::service::Sessions;

/// Takes a refresh token, which works once, for the next one and a new access token.
///
/// Within ten seconds, and while its successor is unused, the same token gives the same successor again.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "auth",
    request_body = RefreshRequest,
    responses(
        (status = 200, description = "The session's next tokens", body = TokenAnswer),
        (status = 401, description = "`refresh_expired`, or `refresh_reused`: the session has been ended", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn refresh(
    sessions: Data<Sessions>,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<RefreshRequest>,
) -> Result<HttpResponse, Problem> {
    Ok(tokens(&sessions.refresh(&request.refresh_token, origin).await?))
}
