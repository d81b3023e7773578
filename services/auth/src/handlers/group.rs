use actix_web::web::{self, Data, Path};
use slipway_kernel::GroupId;
use slipway_models::groups::GroupBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use super::group_asker::asker;
use crate::service::Groups;

/// Shows a group to who belongs to it or manages people.
#[utoipa::path(
    get,
    path = "/api/v1/groups/{id}",
    tag = "groups",
    params(("id" = String, Path, description = "The group")),
    responses(
        (status = 200, description = "The group", body = GroupBody),
        (status = 404, description = "There is none that the caller may see", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(group.id = %id))]
pub(crate) async fn group(
    groups: Data<Groups>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: Path<GroupId>,
) -> Result<web::Json<GroupBody>, Problem> {
    Ok(web::Json(groups.find(*id, asker(&caller, origin)).await?.into()))
}
