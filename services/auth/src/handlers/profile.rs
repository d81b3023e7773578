use actix_web::web::{self, Data};
use slipway_models::problem::ProblemBody;
use slipway_models::profile::ProfileBody;
use slipway_web::{Caller, Problem};

use crate::service::Profiles;

/// Shows the caller's profile.
#[utoipa::path(
    get,
    path = "/api/v1/profile",
    tag = "auth",
    responses(
        (status = 200, description = "The profile", body = ProfileBody),
        (status = 401, description = "Not signed in", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn profile(
    profiles: Data<Profiles>,
    caller: Caller,
) -> Result<web::Json<ProfileBody>, Problem> {
    Ok(web::Json(profiles.find(caller.user_id()).await?.into()))
}
