use actix_web::web::{self, Data};
use slipway_kernel::FunctionId;
use slipway_models::functions::{SecretBody, SecretRequest};
use slipway_models::problem::{FieldError, ProblemBody};
use slipway_web::{Caller, Json, Problem, RequestOrigin};

use crate::domain::SecretName;
use crate::error::FunctionError;
use crate::service::Secrets;

/// Sets a secret of one of the caller's functions. New calls know it at once; nothing shows it again.
#[utoipa::path(
    put,
    path = "/api/v1/functions/{id}/secrets/{key}",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The function"),
        ("key" = String, Path, description = "The variable that holds it: `[A-Z_][A-Z0-9_]{0,63}`"),
    ),
    request_body = SecretRequest,
    responses(
        (status = 200, description = "The secret, without its value", body = SecretBody),
        (status = 404, description = "There is no such function, or it is another's", body = ProblemBody),
        (status = 422, description = "`validation_failed`: the name or the value; `too_many_secrets`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %path.0))]
pub(crate) async fn set_secret(
    secrets: Data<Secrets>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    path: web::Path<(FunctionId, String)>,
    Json(request): Json<SecretRequest>,
) -> Result<web::Json<SecretBody>, Problem> {
    let (id, name) = path.into_inner();
    let (name, secrets, owner) = (secret_name(name)?, secrets.into_inner(), caller.user_id());
    // A task of its own: a client that hangs up leaves no secret that is written and not known.
    let set = tokio::spawn(async move { secrets.set(owner, id, name, request.value, origin).await });
    Ok(web::Json(set.await.map_err(FunctionError::from)??.into()))
}

/// Reads the name in the path.
pub(super) fn secret_name(text: String) -> Result<SecretName, Problem> {
    SecretName::try_from(text).map_err(|fault| {
        let detail = format!("the secret's name {fault}");
        Problem::validation(vec![FieldError { pointer: String::new(), detail }])
    })
}
