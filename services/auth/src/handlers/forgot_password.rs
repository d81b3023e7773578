use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::passwords::{AcceptedAnswer, ForgotPasswordRequest};
use slipway_models::problem::ProblemBody;
use slipway_web::{Json, Problem, RequestOrigin};

use crate::domain::{FieldFaults, LimitedRoute};
use crate::error::AuthError;
use crate::handlers::limited::Gate;
use crate::service::Recovery;

/// Asks for a letter with a link to choose a new password. The answer is the same whether there is an account or not.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password/forgot",
    tag = "auth",
    request_body = ForgotPasswordRequest,
    responses(
        (status = 202, description = "A letter is on its way, if there is an account", body = AcceptedAnswer),
        (status = 422, description = "`validation_failed`: it is no address", body = ProblemBody),
        (status = 429, description = "`rate_limited`: too often from one address, for one account, or both", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn forgot_password(
    gate: Gate,
    recovery: Data<Recovery>,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<ForgotPasswordRequest>,
) -> Result<HttpResponse, Problem> {
    gate.admit_for(LimitedRoute::ForgotPassword, &request.email).await?;
    let mut faults = FieldFaults::default();
    let email = faults.keep("/email", request.email.parse());
    recovery.forgot(email.ok_or(AuthError::Invalid(faults))?, origin).await?;
    let message = "if there is an account with this address, a letter is on its way to it".to_owned();
    Ok(HttpResponse::Accepted().json(AcceptedAnswer { message }))
}
