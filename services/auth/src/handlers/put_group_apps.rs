use actix_web::web::{self, Data, Path};
use slipway_kernel::GroupId;
use slipway_models::groups::{GroupAppsBody, PutAppsRequest};
use slipway_models::problem::ProblemBody;
use slipway_web::{Json, ManageUsers, Permitted, Problem, RequestOrigin};

use super::group_asker::asker;
use crate::domain::in_order;
use crate::service::Grants;

/// States which apps those may use who belong to a group and have no list of their own. Access tokens that state others
/// are refused from then on; sessions live on.
#[utoipa::path(
    put,
    path = "/api/v1/groups/{id}/apps",
    tag = "groups",
    params(("id" = String, Path, description = "The group")),
    request_body = PutAppsRequest,
    responses(
        (status = 200, description = "The apps", body = GroupAppsBody),
        (status = 403, description = "The caller lacks the permission `manage_users`", body = ProblemBody),
        (status = 404, description = "There is no such group", body = ProblemBody),
        (status = 422, description = "`validation_failed`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(group.id = %id))]
pub(crate) async fn put_group_apps(
    grants: Data<Grants>,
    caller: Permitted<ManageUsers>,
    RequestOrigin(origin): RequestOrigin,
    id: Path<GroupId>,
    Json(request): Json<PutAppsRequest>,
) -> Result<web::Json<GroupAppsBody>, Problem> {
    let apps = grants.put_of_group(*id, request.apps.map(in_order), asker(&caller, origin)).await?;
    Ok(web::Json(GroupAppsBody { apps }))
}
