use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use slipway_idempotency::{Answer, Idempotency, key_of};
use slipway_kernel::ExecutionId;
use slipway_models::functions::InvokeAccepted;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};

use crate::service::AsyncRuns;

/// Has one of the caller's executions run again: with the same input, on the version that is active now, and as an
/// execution of its own that nobody waits for.
#[utoipa::path(
    post,
    path = "/api/v1/executions/{id}/replay",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The execution"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key replays the answer"),
    ),
    responses(
        (status = 202, description = "The new execution is on record and will be carried out", body = InvokeAccepted),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
        (status = 409, description = "`execution_not_finished`, `input_not_kept`: it was no `mode=async`; `function_not_active`", body = ProblemBody),
        (status = 429, description = "`backlog_full`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(execution.id = %id))]
pub(crate) async fn replay(
    runs: Data<AsyncRuns>,
    idempotency: Data<Idempotency>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    id: web::Path<ExecutionId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (owner, id) = (caller.user_id(), *id);
    let work = async move { accepted(runs.replay(owner, id, origin).await?) };
    let key = key_of(&request, owner, "execution.replay", || Ok(id.as_uuid().into_bytes()))?;
    idempotency.once(key, work).await
}

/// Answers that a run will be carried out.
pub(super) fn accepted(body: InvokeAccepted) -> Result<Answer, Problem> {
    Answer::json(StatusCode::ACCEPTED, &body)
}
