use actix_web::web::{self, Data};
use slipway_models::auth::UserBody;
use slipway_models::problem::ProblemBody;
use slipway_models::profile::UpdateMeRequest;
use slipway_web::{Caller, Json, Problem, RequestOrigin};

use crate::domain::{FieldFaults, Username, check_full_name};
use crate::error::AuthError;
use crate::service::{AccountChange, Profiles};

/// Changes the caller's own account. What is left out stays; the handle always does.
#[utoipa::path(
    put,
    path = "/api/v1/users/me",
    tag = "auth",
    request_body = UpdateMeRequest,
    responses(
        (status = 200, description = "The account", body = UserBody),
        (status = 401, description = "Not signed in", body = ProblemBody),
        (status = 409, description = "`username_taken`", body = ProblemBody),
        (status = 422, description = "`validation_failed`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn update_me(
    profiles: Data<Profiles>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<UpdateMeRequest>,
) -> Result<web::Json<UserBody>, Problem> {
    let change = check(&request).map_err(AuthError::Invalid)?;
    Ok(web::Json(profiles.update_account(caller.user_id(), change, origin).await?.into()))
}

fn check(request: &UpdateMeRequest) -> Result<AccountChange, FieldFaults> {
    let mut faults = FieldFaults::default();
    let username = request.username.as_deref().map(str::parse::<Username>).transpose();
    let username = faults.keep("/username", username);
    let full_name = request.full_name.as_deref().map(check_full_name).transpose();
    let full_name = faults.keep("/full_name", full_name);
    match (username, full_name) {
        (Some(username), Some(full_name)) => Ok(AccountChange { username, full_name }),
        _ => Err(faults),
    }
}
