use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use slipway_idempotency::{Answer, Idempotency, key_of};
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
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body replays the answer")),
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
    idempotency: Data<Idempotency>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    Json(wanted): Json<CreateGroupRequest>,
) -> Result<HttpResponse, Problem> {
    let key = key_of(&request, caller.user_id(), "group.create", || Ok(&wanted.name))?;
    let (name, asker) = (check_name(&wanted.name)?, asker(&caller, origin));
    let work = async move {
        let group: GroupBody = groups.create(name, asker).await?.into();
        Answer::json(StatusCode::CREATED, &group)
    };
    idempotency.once(key, work).await
}

/// Checks what a group shall be called.
pub(super) fn check_name(name: &str) -> Result<GroupName, AuthError> {
    let mut faults = FieldFaults::default();
    let name = faults.keep("/name", name.parse());
    name.ok_or(AuthError::Invalid(faults))
}
