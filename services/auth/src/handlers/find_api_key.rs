use actix_web::web::{self, Data};
use slipway_models::api_keys::{ApiKeyAnswer, ApiKeyQuestion};
use slipway_web::{Json, Problem, ServiceCaller};

use crate::error::AuthError;
use crate::service::ApiKeys;

/// Tells a gateway what a key may do that it was shown, and on whose behalf.
#[tracing::instrument(skip_all, fields(service.name = caller.name()))]
pub(crate) async fn find_api_key(
    keys: Data<ApiKeys>,
    caller: ServiceCaller,
    Json(question): Json<ApiKeyQuestion>,
) -> Result<web::Json<ApiKeyAnswer>, Problem> {
    let fingerprint = question.fingerprint.parse().map_err(AuthError::InvalidFingerprint)?;
    Ok(web::Json(ApiKeyAnswer { key: keys.find(&fingerprint).await? }))
}
