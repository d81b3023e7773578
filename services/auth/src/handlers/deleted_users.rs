use actix_web::web::{self, Data};
use serde::Deserialize;
use slipway_models::auth::DeletedUsers;
use slipway_web::{Problem, ServiceCaller};

use crate::service::People;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    #[serde(default)]
    after: i64,
}

/// Lists the accounts that were deleted after a position; a service that keeps what is theirs polls it.
#[tracing::instrument(skip_all, fields(service.name = caller.name()))]
pub(crate) async fn deleted_users(
    people: Data<People>,
    caller: ServiceCaller,
    query: web::Query<After>,
) -> Result<web::Json<DeletedUsers>, Problem> {
    Ok(web::Json(DeletedUsers { users: people.list_deleted(query.after).await? }))
}
