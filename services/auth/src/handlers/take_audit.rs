use actix_web::HttpResponse;
use actix_web::web::Data;
use slipway_models::audit::AuditBatch;
use slipway_web::{Json, Problem, ServiceCaller};

use crate::error::AuthError;
use crate::service::AuditLog;

/// Puts onto the audit log what another service tells of, in that service's name. What is on it already is passed over.
#[tracing::instrument(skip_all, fields(service.name = caller.name()))]
pub(crate) async fn take_audit(
    log: Data<AuditLog>,
    caller: ServiceCaller,
    Json(batch): Json<AuditBatch>,
) -> Result<HttpResponse, Problem> {
    batch.events.iter().try_for_each(slipway_audit::check).map_err(AuthError::from)?;
    log.take(caller.name().to_owned(), batch.events).await?;
    Ok(HttpResponse::NoContent().finish())
}
