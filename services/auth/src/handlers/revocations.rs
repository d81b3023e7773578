use actix_web::web::{self, Data};
use chrono::DateTime;
use serde::Deserialize;
use slipway_models::auth::RevocationFeed;
use slipway_web::{Problem, ServiceCaller};

use crate::service::Revocations;

#[derive(Deserialize)]
pub(crate) struct Since {
    since: Option<String>,
}

/// Lists what was revoked since a cursor, sessions and users' older access tokens; a gateway polls it. Entries come again: the feed overlaps.
#[tracing::instrument(skip_all, fields(service.name = caller.name()))]
pub(crate) async fn revocations(
    revocations: Data<Revocations>,
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
    let refused = revocations.list(since).await?;
    Ok(web::Json(RevocationFeed {
        revoked: refused.sessions,
        users: refused.users,
        cursor: refused.next.timestamp_micros().to_string(),
    }))
}
