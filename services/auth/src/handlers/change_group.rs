use actix_web::web::{self, Data, Path};
use slipway_kernel::GroupId;
use slipway_models::groups::{ChangeGroupRequest, GroupBody};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Json, Problem, RequestOrigin};

use super::create_group::check_name;
use super::group_asker::asker;
use crate::service::Groups;

/// Calls a group something else: for its owners, and for those who manage people.
#[utoipa::path(
    patch,
    path = "/api/v1/groups/{id}",
    tag = "groups",
    params(("id" = String, Path, description = "The group")),
    request_body = ChangeGroupRequest,
    responses(
        (status = 200, description = "The group", body = GroupBody),
        (status = 403, description = "The caller does not own the group", body = ProblemBody),
        (status = 404, description = "There is none that the caller may see", body = ProblemBody),
        (status = 422, description = "`validation_failed`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(group.id = %id))]
pub(crate) async fn change_group(
    groups: Data<Groups>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: Path<GroupId>,
    Json(request): Json<ChangeGroupRequest>,
) -> Result<web::Json<GroupBody>, Problem> {
    let asker = asker(&caller, origin);
    let group = match request.name {
        Some(name) => groups.rename(*id, check_name(&name)?, asker).await?,
        None => groups.find(*id, asker).await?,
    };
    Ok(web::Json(group.into()))
}
