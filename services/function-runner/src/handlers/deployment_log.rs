use actix_web::web::{self, Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use slipway_kernel::DeploymentId;
use slipway_models::functions::{BuildLog, BuildLogLine, BuildProgress, DeploymentBody};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Event, LastEventId, Problem, event_stream};

use crate::build::BuildLineId;
use crate::service::{BuildFollower, BuildNews, Deployments};

/// How a log is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct BuildLogQuery {
    #[serde(default)]
    follow: bool,
}

/// Shows what the build of one of the caller's deployments printed: so far, where it is on its way. With `follow=true`,
/// lines are sent as they are printed, from the first on.
///
/// Followed, each line is an event (WHATWG HTML, section 9.2) whose data is a `BuildLogLine`; `Last-Event-ID` goes on where
/// a lost connection stopped. Events of type `status`, whose data is a `BuildProgress`, say how far the deployment is, and one of
/// type `end`, whose data is a `Deployment`, how it ended. Where the answer ends without it, connect again.
#[utoipa::path(
    get,
    path = "/api/v1/deployments/{id}/logs",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The deployment"),
        ("follow" = Option<bool>, Query, description = "Send lines as they are printed (`text/event-stream`)"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event, when following again"),
    ),
    responses(
        (status = 200, description = "The log's last 1 MiB", body = BuildLog),
        (status = 404, description = "There is none, or it is another's", body = ProblemBody),
        (status = 429, description = "`too_many_followers`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(deployment.id = %id))]
pub(crate) async fn deployment_log(
    request: HttpRequest,
    deployments: Data<Deployments>,
    caller: Caller,
    id: web::Path<DeploymentId>,
    query: Query<BuildLogQuery>,
    LastEventId(last): LastEventId,
) -> Result<HttpResponse, Problem> {
    if query.follow {
        let after = last.map(|id| id.parse::<BuildLineId>()).transpose();
        let after = after.map_err(|_| Problem::invalid_request("Last-Event-ID is no id of an event"))?;
        let deployments = deployments.into_inner();
        let follower = deployments.follow(caller.user_id(), *id, after).await?;
        return Ok(event_stream(&request, events(follower)));
    }
    let log = deployments.log(caller.user_id(), *id).await?;
    Ok(HttpResponse::Ok().json(BuildLog { log }))
}

fn events(follower: BuildFollower) -> impl Stream<Item = Event> + 'static {
    unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        let event = match follower.next().await? {
            BuildNews::Line(line) => Event::json(&BuildLogLine { text: line.text }).ok()?.with_id(&line.id),
            BuildNews::Status(status) => Event::json(&BuildProgress { status }).ok()?.named("status"),
            BuildNews::End(deployment) => {
                let end = Event::json(&DeploymentBody::from(*deployment)).ok()?.named("end");
                return Some((end, None));
            }
        };
        Some((event, Some(follower)))
    })
}
