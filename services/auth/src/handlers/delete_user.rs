use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use slipway_kernel::UserId;
use slipway_models::problem::ProblemBody;
use slipway_web::{ManageUsers, Permitted, Problem, RequestOrigin};

use crate::service::{By, People};

/// Deletes an account, for good: its sessions, tokens and profile go with it. Its handle is never given to another.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}",
    tag = "people",
    params(("id" = String, Path, description = "The account")),
    responses(
        (status = 204, description = "The account is no more"),
        (status = 403, description = "The caller lacks the permission `manage_users`", body = ProblemBody),
        (status = 404, description = "There is none", body = ProblemBody),
        (status = 409, description = "`last_admin`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(target.id = %id))]
pub(crate) async fn delete_user(
    people: Data<People>,
    caller: Permitted<ManageUsers>,
    RequestOrigin(origin): RequestOrigin,
    id: Path<UserId>,
) -> Result<HttpResponse, Problem> {
    people.delete(*id, By { admin: caller.user_id(), origin }).await?;
    Ok(HttpResponse::NoContent().finish())
}
