use actix_web::web::{self, Data, Query};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_kernel::Page;
use slipway_models::audit::AuditEntryBody;
use slipway_models::problem::ProblemBody;
use slipway_web::{Paging, Permitted, Problem, ViewAudit};

use crate::domain::AuditFilter;
use crate::service::AuditLog;

/// Which rows are asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct AuditQuery {
    actor: Option<String>,
    action: Option<String>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

/// Lists what happened on the platform, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    tag = "audit",
    params(
        ("actor" = Option<String>, Query, description = "Only what this person, by id, or this service did"),
        ("action" = Option<String>, Query, description = "Only this, such as `auth.login`"),
        ("from" = Option<String>, Query, description = "Only what happened at this time or later (RFC 3339)"),
        ("to" = Option<String>, Query, description = "Only what happened before this time (RFC 3339)"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items: [AuditEntryBody], next_cursor}`", body = [AuditEntryBody]),
        (status = 403, description = "The caller lacks the permission `view_audit`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn audit(
    log: Data<AuditLog>,
    _caller: Permitted<ViewAudit>,
    query: Query<AuditQuery>,
    Paging(page): Paging,
) -> Result<web::Json<Page<AuditEntryBody>>, Problem> {
    let AuditQuery { actor, action, from, to } = query.into_inner();
    Ok(web::Json(log.list(AuditFilter { actor, action, from, to }, page).await?))
}
