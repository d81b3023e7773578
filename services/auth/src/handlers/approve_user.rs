use actix_web::web::{self, Data, Path};
use slipway_kernel::UserId;
use slipway_models::auth::UserBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{ManageUsers, Permitted, Problem, RequestOrigin};

use crate::service::{By, People};

/// Lets somebody in who asked for an account.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/approve",
    tag = "people",
    params(("id" = String, Path, description = "The account")),
    responses(
        (status = 200, description = "The account", body = UserBody),
        (status = 403, description = "The caller lacks the permission `manage_users`", body = ProblemBody),
        (status = 404, description = "There is none", body = ProblemBody),
        (status = 409, description = "`not_pending`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(target.id = %id))]
pub(crate) async fn approve_user(
    people: Data<People>,
    caller: Permitted<ManageUsers>,
    RequestOrigin(origin): RequestOrigin,
    id: Path<UserId>,
) -> Result<web::Json<UserBody>, Problem> {
    let by = By { admin: caller.user_id(), origin };
    Ok(web::Json(people.approve(*id, by).await?.into()))
}
