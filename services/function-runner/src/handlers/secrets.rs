use actix_web::web::{self, Data};
use slipway_kernel::{FunctionId, Page};
use slipway_models::functions::SecretBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Paging, Problem};

use crate::service::Secrets;

/// Lists the secrets of one of the caller's functions, newest first: their names and times, never their values.
#[utoipa::path(
    get,
    path = "/api/v1/functions/{id}/secrets",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The function"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items: [SecretBody], next_cursor}`", body = [SecretBody]),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
pub(crate) async fn secrets(
    secrets: Data<Secrets>,
    caller: Caller,
    id: web::Path<FunctionId>,
    Paging(page): Paging,
) -> Result<web::Json<Page<SecretBody>>, Problem> {
    Ok(web::Json(secrets.list(caller.user_id(), *id, page).await?.map(SecretBody::from)))
}
