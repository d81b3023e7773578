use actix_web::web::{self, Data};
use slipway_models::audit::AuditVerification;
use slipway_models::problem::ProblemBody;
use slipway_web::{Permitted, Problem, ViewAudit};

use crate::service::AuditLog;

/// Checks that the audit log is as it was written: follows the chain of its rows and compares it with the heads that
/// were signed. Names the first row that is not as it was. Takes some seconds for a million rows.
#[utoipa::path(
    get,
    path = "/api/v1/audit/verify",
    tag = "audit",
    responses(
        (status = 200, description = "What was found, `valid` or not", body = AuditVerification),
        (status = 403, description = "The caller lacks the permission `view_audit`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn verify_audit(
    log: Data<AuditLog>,
    _caller: Permitted<ViewAudit>,
) -> Result<web::Json<AuditVerification>, Problem> {
    Ok(web::Json(log.verify().await?))
}
