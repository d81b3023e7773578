use actix_web::web::{self, Data, Query};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_kernel::{ExecutionId, FunctionId, Page};
use slipway_models::functions::LogLine as LogLineBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Paging, Problem};

use crate::domain::LogFilter;
use crate::service::Executions;

/// Which lines are asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct LogsQuery {
    since: Option<DateTime<Utc>>,
    execution_id: Option<ExecutionId>,
}

/// Lists what one of the caller's functions printed, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/functions/{id}/logs",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The function"),
        ("since" = Option<String>, Query, description = "Only lines of this time (RFC 3339) or later"),
        ("execution_id" = Option<String>, Query, description = "Only lines of this run"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items: [LogLine], next_cursor}`", body = [LogLineBody]),
        (status = 404, description = "There is no such function, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
pub(crate) async fn logs(
    executions: Data<Executions>,
    caller: Caller,
    id: web::Path<FunctionId>,
    query: Query<LogsQuery>,
    Paging(page): Paging,
) -> Result<web::Json<Page<LogLineBody>>, Problem> {
    let filter =
        LogFilter { function_id: *id, execution_id: query.execution_id, since: query.since, before: None };
    Ok(web::Json(executions.lines(caller.user_id(), filter, page).await?.map(LogLineBody::from)))
}
