use actix_web::web::{self, Data};
use slipway_kernel::{FunctionId, Page};
use slipway_models::functions::SigningKeyBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Paging, Problem};

use crate::service::SigningKeys;

/// Lists the keys that sign calls of one of the caller's functions, newest first, without their secrets.
#[utoipa::path(
    get,
    path = "/api/v1/functions/{id}/keys",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The function"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items: [SigningKeyBody], next_cursor}`", body = [SigningKeyBody]),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
pub(crate) async fn keys(
    keys: Data<SigningKeys>,
    caller: Caller,
    id: web::Path<FunctionId>,
    Paging(page): Paging,
) -> Result<web::Json<Page<SigningKeyBody>>, Problem> {
    Ok(web::Json(keys.list(caller.user_id(), *id, page).await?.map(SigningKeyBody::from)))
}
