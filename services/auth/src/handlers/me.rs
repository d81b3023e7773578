use actix_web::web::{self, Data};
use slipway_models::auth::UserBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem};

use crate::service::Accounts;

/// Shows the caller's own account.
#[utoipa::path(
    get,
    path = "/api/v1/users/me",
    tag = "auth",
    responses(
        (status = 200, description = "The account", body = UserBody),
        (status = 401, description = "Not signed in", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn me(accounts: Data<Accounts>, caller: Caller) -> Result<web::Json<UserBody>, Problem> {
    let user = accounts.find(caller.user_id()).await?;
    let user = user.ok_or_else(|| Problem::not_found("the account is no more"))?;
    Ok(web::Json(user.into()))
}
