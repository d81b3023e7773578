use actix_web::web::{self, Data};
use chrono::DateTime;
use serde::Deserialize;
use slipway_models::auth::{RevocationFeed, RevokedSessionBody};
use slipway_web::{Problem, ServiceCaller};

use crate::service::Sessions;

#[derive(Deserialize)]
pub(crate) struct Since {
    since: Option<String>,
}

/// Lists the sessions that were revoked since a cursor; a gateway polls it. Entries come again: the feed overlaps.
#[tracing::instrument(skip_all, fields(service.name = caller.name()))]
pub(crate) async fn revocations(
    sessions: Data<Sessions>,
    caller: ServiceCaller,
    query: web::Query<Since>,
) -> Result<web::Json<RevocationFeed>, Problem> {
    let since = query
        .into_inner()
        .since
        .map(|cursor| cursor.parse().ok().and_then(DateTime::from_timestamp_micros))
        .map(|time| {
            time.ok_or_else(|| Problem::invalid_request("since is not a cursor that this server gave"))
        })
        .transpose()?;
    let revocations = sessions.revocations(since).await?;
    let revoked = revocations.sessions.into_iter();
    Ok(web::Json(RevocationFeed {
        revoked: revoked
            .map(|(session_id, expires_at)| RevokedSessionBody { session_id, expires_at })
            .collect(),
        cursor: revocations.next.timestamp_micros().to_string(),
    }))
}
