use actix_web::web::{self, Data, Path};
use slipway_kernel::UserId;
use slipway_models::auth::UserBody;
use slipway_models::people::ChangeUserRequest;
use slipway_models::problem::ProblemBody;
use slipway_web::{Json, ManageUsers, Permitted, Problem, RequestOrigin};

use crate::service::{By, People};

/// Changes what somebody may do, or whether they may sign in. Access tokens that state the old type are refused from
/// then on; a disabled account loses its sessions.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/users/{id}",
    tag = "people",
    params(("id" = String, Path, description = "The account")),
    request_body = ChangeUserRequest,
    responses(
        (status = 200, description = "The account", body = UserBody),
        (status = 403, description = "The caller lacks the permission `manage_users`", body = ProblemBody),
        (status = 404, description = "There is none", body = ProblemBody),
        (status = 409, description = "`last_admin`, or `account_pending`", body = ProblemBody),
        (status = 422, description = "`validation_failed`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(target.id = %id))]
pub(crate) async fn change_user(
    people: Data<People>,
    caller: Permitted<ManageUsers>,
    RequestOrigin(origin): RequestOrigin,
    id: Path<UserId>,
    Json(request): Json<ChangeUserRequest>,
) -> Result<web::Json<UserBody>, Problem> {
    let by = By { admin: caller.user_id(), origin };
    Ok(web::Json(people.change(*id, request, by).await?.into()))
}
