use actix_web::web::{self, Data};
use slipway_kernel::Page;
use slipway_models::groups::GroupBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Paging, Problem, RequestOrigin};

use super::group_asker::asker;
use crate::service::Groups;

/// Lists the groups that the caller belongs to, or, for one who manages people, all of them; the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/groups",
    tag = "groups",
    params(
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items: [GroupBody], next_cursor}`", body = [GroupBody]),
        (status = 401, description = "Not signed in", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn groups(
    groups: Data<Groups>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    Paging(page): Paging,
) -> Result<web::Json<Page<GroupBody>>, Problem> {
    let page = groups.list(asker(&caller, origin), page).await?;
    Ok(web::Json(page.map(GroupBody::from)))
}
