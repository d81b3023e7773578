use actix_web::web::{self, Data};
use slipway_models::auth::{LoginRequest, TokenAnswer};
use slipway_models::problem::ProblemBody;
use slipway_web::{Json, Problem};

use crate::error::AuthError;
use crate::service::Sessions;
use crate::store::users::Login;

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
    Json(request): Json<LoginRequest>,
) -> Result<web::Json<TokenAnswer>, Problem> {
    let login = match (request.email, request.username) {
        (Some(email), None) => Login::Email(email.trim().to_lowercase()),
        (None, Some(username)) => Login::Username(username.trim().to_lowercase()),
        _ => return Err(AuthError::AmbiguousLogin.into()),
    };
    Ok(web::Json(sessions.login(login, &request.password).await?))
}
