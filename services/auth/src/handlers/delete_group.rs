use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use slipway_kernel::GroupId;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use super::group_asker::asker;
use crate::service::Groups;

/// Deletes a group: for its owners, and for those who manage people. Where it states apps, for the latter alone.
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{id}",
    tag = "groups",
    params(("id" = String, Path, description = "The group")),
    responses(
        (status = 204, description = "The group is no more"),
        (status = 403, description = "The caller does not own the group, or it states apps", body = ProblemBody),
        (status = 404, description = "There is none that the caller may see", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(group.id = %id))]
pub(crate) async fn delete_group(
    groups: Data<Groups>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: Path<GroupId>,
) -> Result<HttpResponse, Problem> {
    groups.delete(*id, asker(&caller, origin)).await?;
    Ok(HttpResponse::NoContent().finish())
}
