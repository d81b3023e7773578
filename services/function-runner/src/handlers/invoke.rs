use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{self, Data, Query};
use actix_web::{FromRequest as _, HttpMessage as _, HttpRequest, HttpResponse};
use serde::Deserialize;
use slipway_idempotency::{Answer, Idempotency, key_of};
use slipway_kernel::{ErrorCode, FunctionId, UserId};
use slipway_models::functions::{InvokeAccepted, InvokeAnswer, InvokeRequest};
use slipway_models::problem::ProblemBody;
use slipway_telemetry::outgoing_headers;
use slipway_web::{Caller, OptionalJson, Problem, UsersOutcome};

use super::replay::accepted;
use crate::invoke::Call;
use crate::service::{AsyncRuns, Functions, Invocations, InvokeError};

/// The most bytes of a call.
pub(crate) const MAX_INVOKE_BYTES: u64 = 8 * 1024 * 1024;
pub(super) const FUNCTION_FAILED: &str = "function_failed";
pub(super) const FUNCTION_TIMED_OUT: &str = "function_timed_out";
const RETRY_BUSY_SECONDS: u32 = 1;
/// Tells the gateway that a 5xx is what the function came to, and no fault of the platform's.
pub(super) static OUTCOME: HeaderName = HeaderName::from_static("x-slipway-function-outcome");

/// How a call is answered.
#[derive(Debug, Deserialize)]
pub(crate) struct InvokeQuery {
    #[serde(default)]
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// With what the handler answers.
    #[default]
    Sync,
    /// At once: nobody waits for the run.
    Async,
}

/// Calls one of the caller's functions and waits for its answer. A call goes on when the client hangs up. With
/// `mode=async` nobody waits: the call is kept, tried again where it fails, and at last a dead letter.
#[utoipa::path(
    post,
    path = "/api/v1/functions/{id}/invoke",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The function"),
        ("mode" = Option<String>, Query, description = "`sync` (when absent), or `async`: answer when the call is kept"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body replays the answer"),
    ),
    request_body = InvokeRequest,
    responses(
        (status = 200, description = "The handler's answer", body = InvokeAnswer),
        (status = 202, description = "With `mode=async`: the run is on record and will be carried out", body = InvokeAccepted),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
        (status = 409, description = "`function_not_active`, or `function_deleted` while it ran", body = ProblemBody),
        (status = 413, description = "The call is larger than 8 MiB, or with `mode=async` than what is kept", body = ProblemBody),
        (status = 422, description = "`validation_failed`", body = ProblemBody),
        (status = 429, description = "`function_busy`: no instance is free and none can be started; with `mode=async` `backlog_full`", body = ProblemBody),
        (status = 502, description = "`function_failed`, with the handler's message", body = ProblemBody),
        (status = 503, description = "`unavailable`: the run cannot be begun or recorded", body = ProblemBody),
        (status = 504, description = "`function_timed_out`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
#[expect(clippy::too_many_arguments, reason = "each is an extractor")]
pub(crate) async fn invoke(
    functions: Data<Functions>,
    invocations: Data<Invocations>,
    runs: Data<AsyncRuns>,
    idempotency: Data<Idempotency>,
    caller: Caller,
    id: web::Path<FunctionId>,
    query: Query<InvokeQuery>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let asked = read(&request, payload).await?;
    let (owner, id) = (caller.user_id(), *id);
    let route = if query.mode == Mode::Async { "function.invoke_async" } else { "function.invoke" };
    let key =
        key_of(&request, owner, route, || serde_json::to_vec(&(id, &asked)).map_err(Problem::internal))?;
    let mut call = Call::try_from(asked).map_err(Problem::validation)?;
    call.traceparent = traceparent();
    if query.mode == Mode::Async {
        let work = async move { accepted(runs.accept(owner, id, call).await?) };
        return idempotency.once(key, work).await;
    }
    let work = answer(functions, invocations, owner, id, call);
    let answered = idempotency.once(key, work).await;
    answered.inspect_err(|problem| {
        if matches!(problem.code().as_str(), FUNCTION_FAILED | FUNCTION_TIMED_OUT) {
            request.extensions_mut().insert(UsersOutcome);
        }
    })
}

/// Returns the trace that a call belongs to.
pub(super) fn traceparent() -> Option<String> {
    outgoing_headers().into_iter().find(|(name, _)| *name == "traceparent").map(|(_, value)| value)
}

/// Reads the body. None at all stands for `{}`.
async fn read(request: &HttpRequest, payload: web::Payload) -> Result<InvokeRequest, Problem> {
    let OptionalJson(asked) = OptionalJson::from_request(request, &mut payload.into_inner()).await?;
    Ok(asked.unwrap_or_default())
}

async fn answer(
    functions: Data<Functions>,
    invocations: Data<Invocations>,
    owner: UserId,
    id: FunctionId,
    call: Call,
) -> Result<Answer, Problem> {
    let version = functions.active_version(owner, id).await?;
    let answer: InvokeAnswer = invocations.invoke(&version, &call).await?;
    Answer::json(StatusCode::OK, &answer)
}

impl From<InvokeError> for Problem {
    fn from(error: InvokeError) -> Self {
        let detail = error.to_string();
        match error {
            InvokeError::Busy(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::new("function_busy"), detail)
                    .retry_after(RETRY_BUSY_SECONDS)
            }
            InvokeError::Failed { id, .. } => {
                Self::new(StatusCode::BAD_GATEWAY, ErrorCode::new(FUNCTION_FAILED), detail)
                    .of_execution(id)
                    .header(OUTCOME.clone(), HeaderValue::from_static("failed"))
            }
            InvokeError::TimedOut { id, .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, ErrorCode::new(FUNCTION_TIMED_OUT), detail)
                    .of_execution(id)
                    .header(OUTCOME.clone(), HeaderValue::from_static("timed_out"))
            }
            InvokeError::Cancelled { id } => {
                Self::new(StatusCode::CONFLICT, ErrorCode::new("function_deleted"), detail).of_execution(id)
            }
            InvokeError::CalledOff { id } => {
                Self::new(StatusCode::CONFLICT, ErrorCode::new("execution_cancelled"), detail)
                    .of_execution(id)
            }
            InvokeError::NotRecorded(_) => Self::unavailable(error),
            InvokeError::Interrupted { .. } | InvokeError::NoHead => Self::internal(error),
            InvokeError::Unavailable { id, .. } | InvokeError::EndNotRecorded { id, .. } => {
                Self::unavailable(error).of_execution(id)
            }
        }
    }
}
