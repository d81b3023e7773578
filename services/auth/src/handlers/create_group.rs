use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::groups::{CreateGroupRequest, GroupBody};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Json, Problem, RequestOrigin};

use super::group_asker::asker;
use crate::domain::{FieldFaults, GroupName};
use crate::error::AuthError;
use crate::service::Groups;

/// Makes a group, whose first owner is the caller.
#[utoipa::path(
    post,
    path = "/api/v1/groups",
    tag = "groups",
    request_body = CreateGroupRequest,
    responses(
        (status = 201, description = "The group", body = GroupBody),
        (status = 401, description = "Not signed in", body = ProblemBody),
        (status = 422, description = "`validation_failed`; `too_many_groups`: there are 100 that the caller made", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn create_group(
    groups: Data<Groups>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<CreateGroupRequest>,
) -> Result<HttpResponse, Problem> {
    let name = check_name(&request.name)?;
    let group: GroupBody = groups.create(name, asker(&caller, origin)).await?.into();
    Ok(HttpResponse::Created().json(group))
}

/// Checks what a group shall be called.
pub(super) fn check_name(name: &str) -> Result<GroupName, AuthError> {
    let mut faults = FieldFaults::default();
    let name = faults.keep("/name", name.parse());
    name.ok_or(AuthError::Invalid(faults))
}
