use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::auth::{RegisterAnswer, RegisterRequest};
use slipway_models::passwords::AcceptedAnswer;
use slipway_models::problem::ProblemBody;
use slipway_web::{Json, Problem, RequestOrigin};

use crate::domain::{LimitedRoute, PasswordPolicy, Registration};
use crate::error::AuthError;
use crate::handlers::limited::Gate;
use crate::service::{Accounts, Registered};

/// Makes an account.
///
/// With `auth_hash` and `kdf` in the place of a password it is a blind one: the platform never sees its password.
#[utoipa::path(
    post,
    path = "/api/v1/auth/register",
    tag = "auth",
    request_body = RegisterRequest,
    responses(
        (status = 201, description = "The account was made", body = RegisterAnswer),
        (status = 202, description = "Where addresses are verified, and whatever the address: a letter is on its way", body = AcceptedAnswer),
        (status = 403, description = "`registration_closed`", body = ProblemBody),
        (status = 409, description = "`email_taken` or `username_taken`", body = ProblemBody),
        (status = 422, description = "`weak_password`, which names each broken rule, or `validation_failed`", body = ProblemBody),
        (status = 429, description = "`rate_limited`: too often from one address, for one account, or both", body = ProblemBody),
        (status = 503, description = "`overloaded`: too many sign-ins at once", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn register(
    gate: Gate,
    accounts: Data<Accounts>,
    policy: Data<PasswordPolicy>,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<RegisterRequest>,
) -> Result<HttpResponse, Problem> {
    gate.admit_for(LimitedRoute::Register, &request.email).await?;
    let registration = Registration::check(request, &policy).map_err(AuthError::Invalid)?;
    Ok(match accounts.register(registration, origin).await? {
        Registered::Account(user) => HttpResponse::Created().json(RegisterAnswer { user: (*user).into() }),
        Registered::Letter => {
            let message = "a letter is on its way to this address: go on by its link".to_owned();
            HttpResponse::Accepted().json(AcceptedAnswer { message })
        }
    })
}
