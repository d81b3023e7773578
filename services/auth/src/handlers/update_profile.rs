use actix_web::web::{self, Data};
use slipway_models::problem::ProblemBody;
use slipway_models::profile::{ProfileBody, ProfileRequest};
use slipway_web::{Caller, Json, Problem, RequestOrigin};

use crate::domain::Profile;
use crate::error::AuthError;
use crate::service::Profiles;

/// Puts a profile in the place of the caller's. What is left out is taken away.
#[utoipa::path(
    put,
    path = "/api/v1/profile",
    tag = "auth",
    request_body = ProfileRequest,
    responses(
        (status = 200, description = "The profile, each field in its usual form", body = ProfileBody),
        (status = 401, description = "Not signed in", body = ProblemBody),
        (status = 422, description = "`validation_failed`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn update_profile(
    profiles: Data<Profiles>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<ProfileRequest>,
) -> Result<web::Json<ProfileBody>, Problem> {
    let profile = Profile::check(&request).map_err(AuthError::Invalid)?;
    Ok(web::Json(profiles.put(caller.user_id(), profile, origin).await?.into()))
}
