use actix_web::web::{self, Data, Path};
use slipway_kernel::{GroupId, Page};
use slipway_models::groups::GroupMemberBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Paging, Problem, RequestOrigin};

use super::group_asker::asker;
use crate::service::Groups;

/// Lists who belongs to a group, by id.
#[utoipa::path(
    get,
    path = "/api/v1/groups/{id}/members",
    tag = "groups",
    params(
        ("id" = String, Path, description = "The group"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items: [GroupMemberBody], next_cursor}`", body = [GroupMemberBody]),
        (status = 404, description = "There is no group that the caller may see", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(group.id = %id))]
pub(crate) async fn group_members(
    groups: Data<Groups>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: Path<GroupId>,
    Paging(page): Paging,
) -> Result<web::Json<Page<GroupMemberBody>>, Problem> {
    let page = groups.list_members(*id, asker(&caller, origin), page).await?;
    Ok(web::Json(page.map(GroupMemberBody::from)))
}
