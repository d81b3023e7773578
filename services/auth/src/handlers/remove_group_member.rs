use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use slipway_kernel::{GroupId, UserId};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use super::group_asker::asker;
use crate::service::Groups;

/// Takes somebody out of a group: for its owners, for those who manage people, and for whoever leaves. Where it states
/// apps, for those who manage people alone.
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{id}/members/{user_id}",
    tag = "groups",
    params(
        ("id" = String, Path, description = "The group"),
        ("user_id" = String, Path, description = "The person"),
    ),
    responses(
        (status = 204, description = "The person does not belong to the group any more"),
        (status = 403, description = "The caller does not own the group, or it states apps", body = ProblemBody),
        (status = 404, description = "There is no group that the caller may see, or the person does not belong to it", body = ProblemBody),
        (status = 409, description = "`last_owner`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn remove_group_member(
    groups: Data<Groups>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    path: Path<(GroupId, UserId)>,
) -> Result<HttpResponse, Problem> {
    let (id, user) = path.into_inner();
    groups.remove_member(id, user, asker(&caller, origin)).await?;
    Ok(HttpResponse::NoContent().finish())
}
