use actix_web::web::{self, Data, Query};
use serde::Deserialize;
use slipway_models::people::PeopleBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem};

use crate::domain::Prefix;
use crate::service::People;

/// How a handle or a name begins.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct LookupQuery {
    #[serde(default)]
    query: String,
}

/// Looks active people up by how their handle or their name begins: to mention them, or to share with them.
#[utoipa::path(
    get,
    path = "/api/v1/users/lookup",
    tag = "people",
    params(("query" = String, Query, description = "3 characters or more, in whichever case")),
    responses(
        (status = 200, description = "The first 20, by handle", body = PeopleBody),
        (status = 400, description = "`invalid_request`: the query is too short or too long", body = ProblemBody),
        (status = 401, description = "Not signed in", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn lookup(
    people: Data<People>,
    _caller: Caller,
    query: Query<LookupQuery>,
) -> Result<web::Json<PeopleBody>, Problem> {
    let prefix = query.query.parse::<Prefix>()?;
    Ok(web::Json(PeopleBody { items: people.look_up(prefix).await? }))
}
