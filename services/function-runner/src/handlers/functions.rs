use actix_web::web::{self, Data};
use slipway_kernel::Page;
use slipway_models::functions::FunctionBody;
use slipway_web::{Caller, Paging, Problem};

use crate::service::Functions;

/// Lists the caller's functions, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/functions",
    tag = "functions",
    params(
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "`{items: [FunctionBody], next_cursor}`", body = [FunctionBody]))
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn functions(
    functions: Data<Functions>,
    caller: Caller,
    Paging(page): Paging,
) -> Result<web::Json<Page<FunctionBody>>, Problem> {
    let page = functions.list(caller.user_id(), page).await?;
    Ok(web::Json(page.map(|function| function.shown_to(caller.handle()))))
}
