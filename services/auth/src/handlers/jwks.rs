use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Data;
use slipway_jwt::Jwks;
use slipway_web::Problem;

use crate::service::Sessions;

/// Shows the public keys that access tokens are verified with (RFC 7517).
#[utoipa::path(
    get,
    path = "/api/v1/auth/jwks.json",
    tag = "auth",
    responses((status = 200, description = "The keys", body = Jwks, content_type = "application/jwk-set+json"))
)]
pub(crate) async fn jwks(sessions: Data<Sessions>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .insert_header((CONTENT_TYPE, "application/jwk-set+json"))
        .json(sessions.jwks()))
}
