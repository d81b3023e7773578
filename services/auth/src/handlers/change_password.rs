use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::passwords::ChangePasswordRequest;
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Json, Problem, RequestOrigin};

use crate::domain::{FieldFaults, GivenProof, NewProof, PasswordPolicy, Proof, ProofPointers};
use crate::error::AuthError;
use crate::service::PasswordChanges;

/// Changes the caller's password, and ends all of their other sessions: whoever knew the old one is out.
///
/// By the form of what is new an account becomes a blind one, or stops being one.
#[utoipa::path(
    put,
    path = "/api/v1/auth/password",
    tag = "auth",
    request_body = ChangePasswordRequest,
    responses(
        (status = 204, description = "The password is another, and all other sessions have ended"),
        (status = 401, description = "Not signed in; `invalid_credentials`: the current password is wrong", body = ProblemBody),
        (status = 422, description = "`weak_password`, which names each broken rule, or `validation_failed`", body = ProblemBody),
        (status = 503, description = "`overloaded`: too many sign-ins at once", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn change_password(
    changes: Data<PasswordChanges>,
    policy: Data<PasswordPolicy>,
    caller: Caller,
    RequestOrigin(origin): RequestOrigin,
    Json(request): Json<ChangePasswordRequest>,
) -> Result<HttpResponse, Problem> {
    let (current, new) = check(request, &policy).map_err(AuthError::Invalid)?;
    changes.change(caller.user_id(), caller.session_id(), &current, new, origin).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn check(request: ChangePasswordRequest, policy: &PasswordPolicy) -> Result<(Proof, NewProof), FieldFaults> {
    let mut faults = FieldFaults::default();
    let auth_hash = request.current_auth_hash.as_deref();
    let current = Proof::read(request.current_password, auth_hash, &ProofPointers::CURRENT, &mut faults);
    let given =
        GivenProof { password: request.new_password, auth_hash: request.new_auth_hash, kdf: request.new_kdf };
    let new = NewProof::check(given, &ProofPointers::NEW, policy, &mut faults);
    current.zip(new).ok_or(faults)
}
