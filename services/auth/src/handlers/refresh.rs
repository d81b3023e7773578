use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::auth::{RefreshRequest, TokenAnswer, Transport};
use slipway_models::problem::ProblemBody;
use slipway_web::{OptionalJson, Problem, RequestOrigin};

use crate::domain::LimitedRoute;
use crate::error::AuthError;
use crate::handlers::browser::{Browser, tokens};
use crate::handlers::limited::Gate;
use crate::service::Sessions;

/// Takes a refresh token, which works once, for the next one and a new access token.
///
/// Within ten seconds, and while its successor is unused, the same token gives the same successor again. Without a
/// token in the body, or without a body, the refresh cookie counts, and the next tokens are cookies again.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "auth",
    request_body = Option<RefreshRequest>,
    responses(
        (status = 200, description = "The session's next tokens; with the transport `cookie` a `CookieAnswer`", body = TokenAnswer),
        (status = 400, description = "Neither the body nor a cookie holds a refresh token", body = ProblemBody),
        (status = 401, description = "`refresh_expired`, or `refresh_reused`: the session has been ended", body = ProblemBody),
        (status = 403, description = "`origin_refused`: cookies are for pages of this host", body = ProblemBody),
        (status = 429, description = "`rate_limited`: too often from one address, for one account, or both", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn refresh(
    gate: Gate,
    sessions: Data<Sessions>,
    browser: Browser,
    RequestOrigin(origin): RequestOrigin,
    OptionalJson(request): OptionalJson<RefreshRequest>,
) -> Result<HttpResponse, Problem> {
    gate.admit(LimitedRoute::Refresh).await?;
    let RefreshRequest { refresh_token, transport } = request.unwrap_or_default();
    let (token, transport) = match (&refresh_token, transport) {
        (Some(token), transport) => (token.as_str(), transport.unwrap_or_default()),
        // What no script could read must not become what one can.
        (None, Some(Transport::Bearer)) => return Err(AuthError::NoRefreshToken.into()),
        (None, _) => (browser.refresh_token()?.ok_or(AuthError::NoRefreshToken)?, Transport::Cookie),
    };
    browser.check(transport)?;
    Ok(tokens(&sessions.refresh(token, origin).await?, transport))
}
