use actix_web::web;
use slipway_models::permissions::{Permission, PermissionsBody};
use slipway_models::problem::ProblemBody;
use slipway_web::Caller;

/// Shows what the caller may do, as their access token states it.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/permissions",
    tag = "people",
    responses(
        (status = 200, description = "Permissions and apps", body = PermissionsBody),
        (status = 401, description = "Not signed in", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn permissions(caller: Caller) -> web::Json<PermissionsBody> {
    web::Json(PermissionsBody {
        permissions: Permission::of(caller.user_type()),
        apps: caller.apps().to_vec(),
        user_type: caller.user_type(),
    })
}
