use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::auth::{LoginRequest, TokenAnswer};
use slipway_models::problem::ProblemBody;
use slipway_web::{Json, Problem, RequestOrigin};

use crate::domain::Login;
use crate::error::AuthError;
use crate::handlers::tokens;
use crate::service::Sessions;

/// Starts a session.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    tag = "auth",
    request_body = LoginRequest,
    responses(
        (status = 200, description = "The tokens of a new session", body = TokenAnswer),
        (status = 401, description = "`invalid_credentials`", body = ProblemBody),
        (status = 403, description = "`account_pending` or `account_disabled`, after a right password alone", body = ProblemBody),
        (status = 503, description = "Too many sign-ins at once", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn login(
    sessions: Data<Sessions>,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<LoginRequest>,
) -> Result<HttpResponse, Problem> {
    // A text that can name no account is told no sooner, and no differently, than an account that there is not.
    let login = match (request.email, request.username) {
        (Some(email), None) => email.parse().ok().map(Login::Email),
        (None, Some(username)) => username.trim().parse().ok().map(Login::Username),
        _ => return Err(AuthError::AmbiguousLogin.into()),
    };
    Ok(tokens(&sessions.login(login, &request.password, origin).await?))
}
