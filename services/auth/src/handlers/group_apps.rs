use actix_web::web::{self, Data, Path};
use slipway_kernel::GroupId;
use slipway_models::groups::GroupAppsBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use super::group_asker::asker;
use crate::service::Groups;

/// Shows which apps a group states for those who belong to it.
#[utoipa::path(
    get,
    path = "/api/v1/groups/{id}/apps",
    tag = "groups",
    params(("id" = String, Path, description = "The group")),
    responses(
        (status = 200, description = "The apps", body = GroupAppsBody),
        (status = 404, description = "There is no group that the caller may see", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(group.id = %id))]
pub(crate) async fn group_apps(
    groups: Data<Groups>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: Path<GroupId>,
) -> Result<web::Json<GroupAppsBody>, Problem> {
    let seen = groups.find(*id, asker(&caller, origin)).await?;
    Ok(web::Json(GroupAppsBody { apps: seen.group.apps }))
}
