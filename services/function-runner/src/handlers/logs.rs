use actix_web::web::{self, Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use slipway_kernel::{ExecutionId, FunctionId, LogLineId};
use slipway_models::functions::{LogLine as LogLineBody, LogStream};
use slipway_models::problem::ProblemBody;
use slipway_web::{Caller, Event, LastEventId, Paging, Problem, event_stream};

use crate::domain::{LogFilter, without_nul};
use crate::records::{FollowEnd, Follower};
use crate::service::Executions;

/// The longest text that is searched for, in bytes.
const MAX_QUERY: usize = 200;

/// Which lines are asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct LogsQuery {
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    query: Option<String>,
    execution_id: Option<ExecutionId>,
    stream: Option<LogStream>,
    #[serde(default)]
    follow: bool,
}

impl LogsQuery {
    fn filter(&self, function_id: FunctionId) -> Result<LogFilter, Problem> {
        if self.query.as_ref().is_some_and(|text| text.len() > MAX_QUERY) {
            return Err(Problem::invalid_request(format!("query is longer than {MAX_QUERY} bytes")));
        }
        if self.follow && self.until.is_some() {
            return Err(Problem::invalid_request("until and follow exclude each other"));
        }
        Ok(LogFilter {
            function_id,
            execution_id: self.execution_id,
            // Times before that are none of a line, and may be none to PostgreSQL.
            since: self.since.map(|since| since.max(DateTime::UNIX_EPOCH)),
            until: self.until.map(|until| until.max(DateTime::UNIX_EPOCH)),
            stream: self.stream,
            query: self.query.as_deref().filter(|text| !text.is_empty()).map(without_nul),
        })
    }
}

/// Lists what one of the caller's functions printed, newest first. With `follow=true`, lines are sent as they are
/// printed, oldest first: from `since`, else from now on.
///
/// A search for `query` or `stream` looks at 100,000 lines at a time: a page may hold few lines, or none, and have a
/// `next_cursor`.
///
/// Followed, each line is an event (WHATWG HTML, section 9.2) whose data is a `LogLine`; `Last-Event-ID` goes on where a lost
/// connection stopped, with no line missed or repeated. An event of type `end` says that the function was deleted.
#[utoipa::path(
    get,
    path = "/api/v1/functions/{id}/logs",
    tag = "functions",
    params(
        ("id" = String, Path, description = "The function"),
        ("since" = Option<String>, Query, description = "Only lines of this time (RFC 3339) or later"),
        ("until" = Option<String>, Query, description = "Only lines before this time (RFC 3339)"),
        (
            "query" = Option<String>,
            Query,
            description = "Only lines that hold this text, with the letters a to z in either case; at most 200 bytes"
        ),
        ("execution_id" = Option<String>, Query, description = "Only lines of this run"),
        ("stream" = Option<LogStream>, Query, description = "Only lines of this stream"),
        ("follow" = Option<bool>, Query, description = "Send lines as they are printed (`text/event-stream`)"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event, when following again"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items: [LogLine], next_cursor}`", body = [LogLineBody]),
        (status = 404, description = "There is no such function, or it is another's", body = ProblemBody),
        (status = 429, description = "`too_many_followers`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all, fields(function.id = %id))]
pub(crate) async fn logs(
    request: HttpRequest,
    executions: Data<Executions>,
    caller: Caller,
    id: web::Path<FunctionId>,
    query: Query<LogsQuery>,
    Paging(page): Paging,
    LastEventId(last): LastEventId,
) -> Result<HttpResponse, Problem> {
    let filter = query.filter(*id)?;
    if query.follow {
        let after = last.map(|id| id.parse::<LogLineId>()).transpose();
        let after = after.map_err(|_| Problem::invalid_request("Last-Event-ID is no id of an event"))?;
        let follower = executions.follow(caller.user_id(), filter, after).await?;
        return Ok(event_stream(&request, events(follower)));
    }
    let lines = executions.lines(caller.user_id(), filter, page).await?;
    Ok(HttpResponse::Ok().json(lines.map(LogLineBody::from)))
}

fn events(follower: Follower) -> impl Stream<Item = Event> + 'static {
    unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(line) => {
                let id = line.id;
                let event = Event::json(&LogLineBody::from(line)).ok()?.with_id(&id);
                Some((event, Some(follower)))
            }
            Err(FollowEnd::Deleted) => Some((Event::new("function_deleted").named("end"), None)),
            Err(FollowEnd::TooLong) => None,
            Err(FollowEnd::Database(error)) => {
                tracing::warn!(%error, "a follower of a log is sent away");
                None
            }
        }
    })
}
