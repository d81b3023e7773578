use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::passwords::VerifyEmailRequest;
use slipway_models::problem::ProblemBody;
use slipway_web::{Json, Problem, RequestOrigin};

use crate::domain::LimitedRoute;
use crate::handlers::limited::Gate;
use crate::service::Recovery;

/// Shows by the link of a letter that an address is one's own. It works once, for 24 hours.
#[utoipa::path(
    post,
    path = "/api/v1/auth/email/verify",
    tag = "auth",
    request_body = VerifyEmailRequest,
    responses(
        (status = 204, description = "The address is verified"),
        (status = 422, description = "`invalid_link`", body = ProblemBody),
        (status = 429, description = "`rate_limited`: too often from one address, for one account, or both", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn verify_email(
    gate: Gate,
    recovery: Data<Recovery>,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<VerifyEmailRequest>,
) -> Result<HttpResponse, Problem> {
    gate.admit(LimitedRoute::VerifyEmail).await?;
    recovery.verify_email(&request.token, origin).await?;
    Ok(HttpResponse::NoContent().finish())
}
