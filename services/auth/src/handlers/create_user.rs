use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use slipway_idempotency::{Answer, Idempotency, key_of};
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
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body replays the answer")),
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
    idempotency: Data<Idempotency>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    Json(asked): Json<CreateUserRequest>,
) -> Result<HttpResponse, Problem> {
    let key = key_of(&request, caller.user_id(), "user.create", || {
        // A digest of the password, too, would be quick to guess it by.
        let told = CreateUserRequest { password: None, ..asked.clone() };
        serde_json::to_vec(&told).map_err(Problem::internal)
    })?;
    let account = NewAccount::check(&asked, &policy).map_err(AuthError::Invalid)?;
    let by = By { admin: caller.user_id(), origin };
    let work = async move {
        let user = accounts.create(account, by).await?.into();
        Answer::json(StatusCode::CREATED, &RegisterAnswer { user })
    };
    idempotency.once(key, work).await
}
