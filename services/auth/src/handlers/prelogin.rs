use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Query};
use serde::Deserialize;
use slipway_models::passwords::PreloginAnswer;
use slipway_models::problem::ProblemBody;
use slipway_web::Problem;

use crate::domain::{Email, LimitedRoute};
use crate::handlers::limited::Gate;
use crate::service::Accounts;

#[derive(Deserialize)]
pub(crate) struct PreloginQuery {
    email: String,
}

/// Tells the client of a blind account how to derive what it signs in with.
///
/// For an address that has no blind account it is made up, the same each time: nobody learns who has one. A client that
/// registers with the salt that it is told here leaves no trace of that either.
#[utoipa::path(
    get,
    path = "/api/v1/auth/prelogin",
    tag = "auth",
    params(("email" = String, Query, description = "The account's address")),
    responses(
        (status = 200, description = "How to derive", body = PreloginAnswer),
        (status = 400, description = "The query names no address", body = ProblemBody),
        (status = 429, description = "`rate_limited`: too often from one address, for one account, or both", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn prelogin(
    gate: Gate,
    accounts: Data<Accounts>,
    query: Result<Query<PreloginQuery>, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let query =
        query.map_err(|fault| Problem::invalid_request(format!("the query cannot be read: {fault}")))?;
    gate.admit_for(LimitedRoute::Prelogin, &query.email).await?;
    let email: Email =
        query.email.parse().map_err(|fault| Problem::invalid_request(format!("email {fault}")))?;
    let kdf = accounts.kdf(email).await?.into();
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(PreloginAnswer { kdf }))
}
