use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use slipway_kernel::SessionId;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use crate::service::Sessions;

/// Ends one of the caller's sessions. Ending one that has ended is a no-op.
#[utoipa::path(
    delete,
    path = "/api/v1/auth/sessions/{id}",
    tag = "auth",
    params(("id" = String, Path, description = "The session")),
    responses(
        (status = 204, description = "The session has ended"),
        (status = 401, description = "Not signed in", body = ProblemBody),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(session.id = %id))]
pub(crate) async fn end_session(
    sessions: Data<Sessions>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: Path<SessionId>,
) -> Result<HttpResponse, Problem> {
    sessions.end(caller.user_id(), *id, origin).await?;
    Ok(HttpResponse::NoContent().finish())
}
