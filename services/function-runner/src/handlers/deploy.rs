use std::sync::Arc;

use actix_multipart::Multipart;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use slipway_idempotency::{Answer, Idempotency, key_of};
use slipway_kernel::Origin;
use slipway_models::functions::{DeployAnswer, FunctionConfigPatch};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Problem, RequestOrigin};
use utoipa::ToSchema;

use super::upload::receive;
use crate::service::{DeployRequest, Deployments, Functions};

/// What a form may have besides the archive: the other fields and the boundaries.
const FORM_OVERHEAD_BYTES: u64 = 4 * 1024 * 1024;

/// The most bytes of an archive, packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ArchiveLimit(pub(crate) u64);

/// How a deployment is answered.
#[derive(Debug, Deserialize)]
pub(crate) struct DeployQuery {
    /// True: when it is active or failed, rather than at once.
    #[serde(default)]
    wait: bool,
}

/// The form of a deployment.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the OpenAPI document reads it: the form is read as a stream")]
pub(crate) struct DeployForm {
    /// The function's name; it is made where there is none.
    name: Option<String>,
    /// The function, where it is there and not named.
    function_id: Option<String>,
    /// A zip or tar.gz file.
    #[schema(value_type = String, format = Binary)]
    archive: Vec<u8>,
    /// What changes of the function's configuration.
    config: Option<FunctionConfigPatch>,
}

/// Deploys an archive as the next version of a function.
#[utoipa::path(
    post,
    path = "/api/v1/functions/deploy",
    tag = "functions",
    params(
        ("wait" = Option<bool>, Query, description = "Answer when the version is active or failed"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and form replays the answer"),
    ),
    request_body(content = DeployForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "With `wait`: the version is active", body = DeployAnswer),
        (status = 202, description = "The version is on its way", body = DeployAnswer),
        (status = 404, description = "There is no such function, or it is another's", body = ProblemBody),
        (status = 413, description = "The archive is too large", body = ProblemBody),
        (status = 422, description = "`invalid_archive`, `invalid_project`, `validation_failed`; with `wait`: `build_failed`, with the end of the log", body = ProblemBody),
        (status = 429, description = "`too_many_builds`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
#[expect(clippy::too_many_arguments, reason = "each is an extractor")]
pub(crate) async fn deploy(
    functions: Data<Functions>,
    deployments: Data<Deployments>,
    idempotency: Data<Idempotency>,
    limit: Data<ArchiveLimit>,
    caller: Caller,
    query: Query<DeployQuery>,
    request: HttpRequest,
    form: Multipart,
) -> Result<HttpResponse, Problem> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit.0 + FORM_OVERHEAD_BYTES) {
        return Err(Problem::body_too_large(limit.0));
    }
    let upload = receive(form, caller.user_id(), deployments.uploads(), limit.0).await?;
    let key = key_of(&request, caller.user_id(), "function.deploy", || Ok(&upload.fingerprint))?;
    let (handle, origin) = (Arc::clone(caller.handle()), RequestOrigin::of(&request));
    let work = answer(functions, deployments, upload.request, handle, origin, query.wait);
    idempotency.once(key, work).await
}

async fn answer(
    functions: Data<Functions>,
    deployments: Data<Deployments>,
    request: DeployRequest,
    handle: Arc<str>,
    origin: Origin,
    wait: bool,
) -> Result<Answer, Problem> {
    let owner = request.owner;
    functions.note_handle(owner, &handle).await?;
    let (mut function, mut deployment) = deployments.deploy(request, origin).await?;
    if wait {
        deployment = deployments.wait(owner, deployment.id).await?;
        function = functions.find(owner, function.id).await?;
    }
    let status = if wait { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let body = DeployAnswer { function: function.shown_to(&handle), deployment: deployment.into() };
    Answer::json(status, &body)
}
