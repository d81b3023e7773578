use actix_web::web::{self, Data};
use slipway_kernel::{FunctionId, Page};
use slipway_models::functions::ExecutionBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Paging, Problem};

use crate::service::Executions;

/// Lists the executions of one of the caller's functions, newest first; those that are under way are among them.
#[utoipa::path(
    get,
    path = "/api/v1/functions/{id}/executions",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The function"),
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
    Paging(page): Paging,
) -> Result<web::Json<Page<ExecutionBody>>, Problem> {
    Ok(web::Json(executions.list(caller.user_id(), *id, page).await?.map(ExecutionBody::from)))
}
