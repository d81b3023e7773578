use actix_web::web::{self, Data};
use slipway_kernel::Page;
use slipway_models::auth::SessionBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Paging, Problem};

use crate::service::Sessions;

/// Lists the caller's sessions that have not ended, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/auth/sessions",
    tag = "auth",
    params(
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items: [SessionBody], next_cursor}`", body = [SessionBody]),
        (status = 401, description = "Not signed in", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn sessions(
    sessions: Data<Sessions>,
    caller: Caller,
    Paging(page): Paging,
) -> Result<web::Json<Page<SessionBody>>, Problem> {
    Ok(web::Json(sessions.list(caller.user_id(), caller.session_id(), page).await?))
}
