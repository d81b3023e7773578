use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::auth::{LoginRequest, TokenAnswer};
use slipway_models::problem::ProblemBody;
use slipway_web::{Problem, RequestOrigin};

use crate::domain::{FieldFaults, Login, Proof, ProofPointers};
use crate::error::AuthError;
use crate::handlers::browser::{Browser, tokens};
use crate::handlers::limited::Gate;
use crate::handlers::password_grant::SignIn;
use crate::service::Sessions;

/// Starts a session.
///
/// With the transport `cookie` the tokens are set as cookies and left out of the body; that is for pages of this host
/// and of those that are set (`GATEWAY_ORIGINS`). A blind account is proved by `auth_hash`. The form of OAuth 2.0's password grant is taken as well.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    tag = "auth",
    request_body = LoginRequest,
    responses(
        (status = 200, description = "The tokens of a new session; with the transport `cookie` a `CookieAnswer`", body = TokenAnswer),
        (status = 400, description = "`unsupported_grant_type`, of a form", body = ProblemBody),
        (status = 401, description = "`invalid_credentials`", body = ProblemBody),
        (status = 403, description = "`account_pending`, `account_disabled` or `email_unverified`, after a right password alone; `origin_refused`", body = ProblemBody),
        (status = 422, description = "`validation_failed`", body = ProblemBody),
        (status = 429, description = "`rate_limited`: too often from one address, for one account, or both", body = ProblemBody),
        (status = 503, description = "`overloaded`: too many sign-ins at once", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn login(
    sessions: Data<Sessions>,
    gate: Gate,
    browser: Browser,
    RequestOrigin(origin): RequestOrigin,
    SignIn(request): SignIn,
) -> Result<HttpResponse, Problem> {
    browser.check(request.transport)?;
    let account = request.email.as_ref().or(request.username.as_ref()).cloned().unwrap_or_default();
    // A text that can name no account is told no sooner, and no differently, than an account that there is not.
    let login = match (request.email, request.username) {
        (Some(email), None) => email.parse().ok().map(Login::Email),
        (None, Some(username)) => username.trim().parse().ok().map(Login::Username),
        _ => return Err(AuthError::AmbiguousLogin.into()),
    };
    let proof = read_proof(request.password, request.auth_hash.as_deref())?;
    let pass = gate.admit_login(&account, login.clone()).await?;
    let answer = sessions.login(login, &proof, browser.details(), origin).await?;
    pass.welcome().await;
    Ok(tokens(&answer, request.transport))
}

fn read_proof(password: Option<String>, auth_hash: Option<&str>) -> Result<Proof, AuthError> {
    let mut faults = FieldFaults::default();
    let proof = Proof::read(password, auth_hash, &ProofPointers::PLAIN, &mut faults);
    proof.ok_or(AuthError::Invalid(faults))
}
