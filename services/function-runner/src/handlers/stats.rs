use actix_web::web::{self, Data, Query};
use serde::Deserialize;
use slipway_kernel::FunctionId;
use slipway_models::functions::{StatsBody, StatsPeriod};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem};

use crate::service::Executions;

/// How far back statistics go.
#[derive(Debug, Deserialize)]
pub(crate) struct StatsQuery {
    period: Option<StatsPeriod>,
}

/// Sums up the runs of one of the caller's functions that ended within a period, as a whole and by its parts. What is
/// deleted of old runs stays in the sums.
#[utoipa::path(
    get,
    path = "/api/v1/functions/{id}/stats",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The function"),
        ("period" = Option<StatsPeriod>, Query, description = "`24h` when absent"),
    ),
    responses(
        (status = 200, description = "The figures", body = StatsBody),
        (status = 404, description = "There is no such function, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
pub(crate) async fn stats(
    executions: Data<Executions>,
    caller: Caller,
    id: web::Path<FunctionId>,
    query: Query<StatsQuery>,
) -> Result<web::Json<StatsBody>, Problem> {
    let period = query.period.unwrap_or(StatsPeriod::Day);
    Ok(web::Json(executions.stats(caller.user_id(), *id, period).await?))
}
