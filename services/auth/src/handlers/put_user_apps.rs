use actix_web::web::{self, Data, Path};
use slipway_kernel::UserId;
use slipway_models::groups::{PutAppsRequest, UserAppsBody};
use slipway_models::problem::ProblemBody;
use slipway_web::{Json, ManageUsers, Permitted, Problem, RequestOrigin};

use crate::domain::in_order;
use crate::service::{By, Grants};

/// States which apps a person may use, whatever their groups state; null takes that back. Access tokens that state others
/// are refused from then on; sessions live on.
#[utoipa::path(
    put,
    path = "/api/v1/admin/users/{id}/apps",
    tag = "people",
    params(("id" = String, Path, description = "The account")),
    request_body = PutAppsRequest,
    responses(
        (status = 200, description = "The apps", body = UserAppsBody),
        (status = 403, description = "The caller lacks the permission `manage_users`", body = ProblemBody),
        (status = 404, description = "There is none", body = ProblemBody),
        (status = 422, description = "`validation_failed`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(target.id = %id))]
pub(crate) async fn put_user_apps(
    grants: Data<Grants>,
    caller: Permitted<ManageUsers>,
    RequestOrigin(origin): RequestOrigin,
    id: Path<UserId>,
    Json(request): Json<PutAppsRequest>,
) -> Result<web::Json<UserAppsBody>, Problem> {
    let by = By { admin: caller.user_id(), origin };
    Ok(web::Json(grants.put_of_user(*id, request.apps.map(in_order), by).await?))
}
