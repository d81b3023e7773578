use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::auth::RegisterAnswer;
use slipway_models::people::CreateUserRequest;
use slipway_models::problem::ProblemBody;
use slipway_web::{Json, ManageUsers, Permitted, Problem, RequestOrigin};

use crate::domain::{NewAccount, PasswordPolicy};
use crate::error::AuthError;
use crate::service::{Accounts, By};

/// Makes an account for somebody, which can be used at once. Without a password, a letter has a link to choose one.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    tag = "people",
    request_body = CreateUserRequest,
    responses(
        (status = 201, description = "The account was made", body = RegisterAnswer),
        (status = 403, description = "The caller lacks the permission `manage_users`", body = ProblemBody),
        (status = 409, description = "`email_taken` or `username_taken`; `no_letters`: without a password, where no letters are sent", body = ProblemBody),
        (status = 422, description = "`weak_password`, which names each broken rule, or `validation_failed`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn create_user(
    accounts: Data<Accounts>,
    policy: Data<PasswordPolicy>,
    caller: Permitted<ManageUsers>,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<CreateUserRequest>,
) -> Result<HttpResponse, Problem> {
    let account = NewAccount::check(&request, &policy).map_err(AuthError::Invalid)?;
    let user = accounts.create(account, By { admin: caller.user_id(), origin }).await?;
    Ok(HttpResponse::Created().json(RegisterAnswer { user: user.into() }))
}
