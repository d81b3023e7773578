use actix_web::web::{self, Data, Path};
use slipway_kernel::UserId;
use slipway_models::groups::UserAppsBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{ManageUsers, Permitted, Problem};

use crate::service::Grants;

/// Shows which apps are stated for a person, and which the person may use.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}/apps",
    tag = "people",
    params(("id" = String, Path, description = "The account")),
    responses(
        (status = 200, description = "The apps", body = UserAppsBody),
        (status = 403, description = "The caller lacks the permission `manage_users`", body = ProblemBody),
        (status = 404, description = "There is none", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(target.id = %id))]
pub(crate) async fn user_apps(
    grants: Data<Grants>,
    _caller: Permitted<ManageUsers>,
    id: Path<UserId>,
) -> Result<web::Json<UserAppsBody>, Problem> {
    Ok(web::Json(grants.of_user(*id).await?))
}
