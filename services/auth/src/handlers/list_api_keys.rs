use actix_web::web::{self, Data};
use slipway_kernel::Page;
use slipway_models::api_keys::ApiKeyBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Paging, Problem};

use crate::service::ApiKeys;

/// Lists the caller's API keys, newest first; one that has ended is listed for a day more.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys",
    tag = "auth",
    params(
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items: [ApiKeyBody], next_cursor}`", body = [ApiKeyBody]),
        (status = 401, description = "Not signed in", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn list_api_keys(
    keys: Data<ApiKeys>,
    caller: Caller,
    Paging(page): Paging,
) -> Result<web::Json<Page<ApiKeyBody>>, Problem> {
    Ok(web::Json(keys.list(caller.user_id(), page).await?.map(ApiKeyBody::from)))
}
