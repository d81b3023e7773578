use actix_web::web::{self, Data, Query};
use serde::Deserialize;
use slipway_kernel::{FunctionId, Page};
use slipway_models::functions::{ExecutionBody, ExecutionStatus};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Paging, Problem};

use crate::domain::{ExecutionFilter, Trigger};
use crate::service::Executions;

/// Which executions are asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct ExecutionsQuery {
    status: Option<ExecutionStatus>,
    trigger: Option<Trigger>,
    dead_letter: Option<bool>,
}

/// Lists the executions of one of the caller's functions, newest first; those that are under way are among them.
#[utoipa::path(
    get,
    path = "/api/v1/functions/{id}/executions",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The function"),
        ("status" = Option<ExecutionStatus>, Query, description = "Only those that stand like this"),
        ("trigger" = Option<String>, Query, description = "Only those set off by this: `invoke`, `async` or `replay`"),
        ("dead_letter" = Option<bool>, Query, description = "Only those that were given up after their last attempt, or only the others"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items: [ExecutionBody], next_cursor}`", body = [ExecutionBody]),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
pub(crate) async fn executions(
    executions: Data<Executions>,
    caller: Caller,
    id: web::Path<FunctionId>,
    query: Query<ExecutionsQuery>,
    Paging(page): Paging,
) -> Result<web::Json<Page<ExecutionBody>>, Problem> {
    let ExecutionsQuery { status, trigger, dead_letter } = query.into_inner();
    let filter = ExecutionFilter { function_id: *id, status, trigger, dead_letter };
    Ok(web::Json(executions.list(caller.user_id(), filter, page).await?.map(ExecutionBody::from)))
}
