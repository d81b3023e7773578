use actix_web::web::{self, Data, Path};
use slipway_kernel::{GroupId, UserId};
use slipway_models::groups::{GroupMemberBody, PutGroupMemberRequest};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Json, Problem, RequestOrigin};

use super::group_asker::asker;
use crate::service::Groups;

/// Takes an active person into a group, or changes what they are in it: for its owners, and for those who manage people.
/// Where it states apps, for the latter alone.
#[utoipa::path(
    put,
    path = "/api/v1/groups/{id}/members/{user_id}",
    tag = "groups",
    params(
        ("id" = String, Path, description = "The group"),
        ("user_id" = String, Path, description = "The person"),
    ),
    request_body = PutGroupMemberRequest,
    responses(
        (status = 200, description = "Who belongs to the group now", body = GroupMemberBody),
        (status = 403, description = "The caller does not own the group, or it states apps", body = ProblemBody),
        (status = 404, description = "There is no group that the caller may see, or no such person", body = ProblemBody),
        (status = 409, description = "`last_owner`", body = ProblemBody),
        (status = 422, description = "`validation_failed`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn put_group_member(
    groups: Data<Groups>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    path: Path<(GroupId, UserId)>,
    Json(request): Json<PutGroupMemberRequest>,
) -> Result<web::Json<GroupMemberBody>, Problem> {
    let (id, user) = path.into_inner();
    let member = groups.put_member(id, user, request.role, asker(&caller, origin)).await?;
    Ok(web::Json(member.into()))
}
