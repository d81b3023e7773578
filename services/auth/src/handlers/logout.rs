use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use crate::service::Sessions;

/// Ends the caller's session. Its access tokens stop working within a second.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "auth",
    responses(
        (status = 204, description = "The session has ended"),
        (status = 401, description = "Not signed in", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn logout(
    sessions: Data<Sessions>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
) -> Result<HttpResponse, Problem> {
    sessions.logout(caller.user_id(), caller.session_id(), origin).await?;
    Ok(HttpResponse::NoContent().finish())
}
