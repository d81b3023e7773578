use actix_web::web::{self, Data, Path};
use slipway_kernel::UserId;
use slipway_models::auth::UserBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{ManageUsers, Permitted, Problem};

use crate::error::AuthError;
use crate::service::Accounts;

/// Shows an account to whoever manages them.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}",
    tag = "people",
    params(("id" = String, Path, description = "The account")),
    responses(
        (status = 200, description = "The account", body = UserBody),
        (status = 403, description = "The caller lacks the permission `manage_users`", body = ProblemBody),
        (status = 404, description = "There is none", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn user(
    accounts: Data<Accounts>,
    _caller: Permitted<ManageUsers>,
    id: Path<UserId>,
) -> Result<web::Json<UserBody>, Problem> {
    let user = accounts.find(*id).await?.ok_or(AuthError::UserNotFound)?;
    Ok(web::Json(user.into()))
}
