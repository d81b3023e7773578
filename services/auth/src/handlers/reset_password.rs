use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::passwords::ResetPasswordRequest;
use slipway_models::problem::ProblemBody;
use slipway_web::{Json, Problem, RequestOrigin};

use crate::domain::{FieldFaults, GivenProof, LimitedRoute, NewProof, PasswordPolicy, ProofPointers};
use crate::error::AuthError;
use crate::handlers::limited::Gate;
use crate::service::Recovery;

/// Chooses a new password by the link of a letter. It works once, for an hour, and ends all sessions.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password/reset",
    tag = "auth",
    request_body = ResetPasswordRequest,
    responses(
        (status = 204, description = "The password is another, and all sessions have ended"),
        (status = 422, description = "`invalid_link`; `weak_password`, which names each broken rule, or `validation_failed`", body = ProblemBody),
        (status = 429, description = "`rate_limited`: too often from one address, for one account, or both", body = ProblemBody),
        (status = 503, description = "`overloaded`: too many sign-ins at once", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn reset_password(
    gate: Gate,
    recovery: Data<Recovery>,
    policy: Data<PasswordPolicy>,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<ResetPasswordRequest>,
) -> Result<HttpResponse, Problem> {
    gate.admit(LimitedRoute::ResetPassword).await?;
    let mut faults = FieldFaults::default();
    let given =
        GivenProof { password: request.new_password, auth_hash: request.new_auth_hash, kdf: request.new_kdf };
    let new = NewProof::check(given, &ProofPointers::NEW, &policy, &mut faults);
    recovery.reset(&request.token, new.ok_or(AuthError::Invalid(faults))?, origin).await?;
    Ok(HttpResponse::NoContent().finish())
}
