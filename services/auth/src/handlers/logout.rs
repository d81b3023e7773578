use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::problem::ProblemBody;
use slipway_web::{MaybeCaller, Problem, RequestOrigin};

use crate::error::AuthError;
use crate::handlers::browser::{Browser, clear};
use crate::service::Sessions;

/// Ends the caller's session. Its access tokens stop working within a second, and its cookies are cleared.
///
/// A browser whose access token is over is known by its refresh cookie.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "auth",
    responses(
        (status = 204, description = "The session has ended"),
        (status = 401, description = "Not signed in", body = ProblemBody),
        (status = 403, description = "`origin_refused`: cookies are for pages of this host", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn logout(
    sessions: Data<Sessions>,
    MaybeCaller(caller): MaybeCaller,
    browser: Browser,
    RequestOrigin(origin): RequestOrigin,
) -> Result<HttpResponse, Problem> {
    if let Some(caller) = caller {
        sessions.logout(caller.user_id(), caller.session_id(), origin).await?;
    } else {
        let token = browser.refresh_token()?.ok_or(AuthError::NotSignedIn)?;
        sessions.logout_by_token(token, origin).await?;
    }
    Ok(clear(&mut HttpResponse::NoContent()).finish())
}
