use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use slipway_kernel::UserId;
use slipway_models::passwords::AcceptedAnswer;
use slipway_models::problem::ProblemBody;
use slipway_web::{ManageUsers, Permitted, Problem, RequestOrigin};

use crate::service::{By, People};

/// Takes somebody's password away, and ends all of their sessions. A letter to them has a link to choose another.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/reset-password",
    tag = "people",
    params(("id" = String, Path, description = "The account")),
    responses(
        (status = 202, description = "The sessions have ended, and a letter is on its way", body = AcceptedAnswer),
        (status = 403, description = "The caller lacks the permission `manage_users`", body = ProblemBody),
        (status = 404, description = "There is none", body = ProblemBody),
        (status = 409, description = "`last_admin`, whose letter may be lost; `no_letters`: none are sent here", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(target.id = %id))]
pub(crate) async fn reset_password_of(
    people: Data<People>,
    caller: Permitted<ManageUsers>,
    RequestOrigin(origin): RequestOrigin,
    id: Path<UserId>,
) -> Result<HttpResponse, Problem> {
    people.reset_password(*id, By { admin: caller.user_id(), origin }).await?;
    let message =
        "the sessions have ended, and a letter with a link to a new password is on its way".to_owned();
    Ok(HttpResponse::Accepted().json(AcceptedAnswer { message }))
}
