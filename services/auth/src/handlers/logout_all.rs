use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use crate::handlers::browser::clear;
use crate::service::Sessions;

/// Ends all of the caller's sessions, this one too. Their access tokens stop working within a second.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout-all",
    tag = "auth",
    responses(
        (status = 204, description = "The sessions have ended"),
        (status = 401, description = "Not signed in", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn logout_all(
    sessions: Data<Sessions>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
) -> Result<HttpResponse, Problem> {
    sessions.logout_all(caller.user_id(), origin).await?;
    Ok(clear(&mut HttpResponse::NoContent()).finish())
}
