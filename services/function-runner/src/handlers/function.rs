use actix_web::web::{self, Data};
use slipway_kernel::FunctionId;
use slipway_models::functions::FunctionBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem};

use crate::service::Functions;

/// Shows one of the caller's functions.
#[utoipa::path(
    get,
    path = "/api/v1/functions/{id}",
    tag = "functions",
    params(("id" = String, Path, description = "The function")),
    responses(
        (status = 200, description = "The function", body = FunctionBody),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
pub(crate) async fn function(
    functions: Data<Functions>,
    caller: Caller,
    id: web::Path<FunctionId>,
) -> Result<web::Json<FunctionBody>, Problem> {
    Ok(web::Json(functions.find(caller.user_id(), *id).await?.shown_to(caller.handle())))
}
