use std::time::Duration;

use chrono::SecondsFormat;
use slipway_clients::platform::LogQuery;
use slipway_kernel::{Clock as _, FunctionId, SystemClock};
use slipway_models::functions::LogLine;
use tokio::time::Instant;

use crate::arguments::Logs;
use crate::commands::find;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Store;

/// How long the platform may be away before the command stops to follow.
const BEAR_WITH_FOR: Duration = Duration::from_mins(1);
const FOLLOW_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Prints the newest lines in the order of time. As JSON it is one line of JSON a line.
pub(crate) async fn run(options: Logs, store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let function = find(&client, &options.function).await?;
    if options.follow {
        return follow(function.id, &options, store, output).await;
    }
    let mut lines = Vec::new();
    let mut cursor = None;
    // The platform lists the newest line first.
    while lines.len() < options.limit {
        let query = LogQuery { cursor: cursor.as_deref(), ..query(&options) };
        let page = client.logs(function.id, &query).await?;
        lines.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    lines.truncate(options.limit);
    lines.iter().rev().try_for_each(|line| print(line, output))
}

/// Prints lines as they come, over short absences of the platform, until the function is deleted.
async fn follow(id: FunctionId, options: &Logs, store: &Store, output: &Output) -> Result<(), Failure> {
    let begun = SystemClock.now();
    let mut query = query(options);
    let mut last: Option<String> = None;
    let mut last_seen = Instant::now();
    loop {
        let (client, _) = store.client().await?;
        match client.follow_logs(id, &query, last.as_deref()).await.map_err(Failure::from) {
            Ok(mut events) => {
                while let Some(event) = events.next().await? {
                    if event.name.as_deref() == Some("end") {
                        output::note("the function was deleted");
                        return Ok(());
                    }
                    let line = serde_json::from_str(&event.data).map_err(std::io::Error::from)?;
                    print(&line, output)?;
                    last = events.last_id().map(str::to_owned);
                }
                last_seen = Instant::now();
            }
            Err(failure) if failure.is_unavailable() && last_seen.elapsed() < BEAR_WITH_FOR => {}
            Err(failure) => return Err(failure),
        }
        // Where no line came yet, none of the time in between is left out.
        query.since = query.since.or(Some(begun));
        tokio::time::sleep(FOLLOW_AGAIN_AFTER).await;
    }
}

fn query(options: &Logs) -> LogQuery<'_> {
    LogQuery {
        since: options.since,
        execution_id: options.execution,
        query: options.query.as_deref(),
        cursor: None,
    }
}

fn print(line: &LogLine, output: &Output) -> Result<(), Failure> {
    if output.is_json() { output::value(line) } else { output::line(&text(line)) }
}

fn text(line: &LogLine) -> String {
    let time = line.time.to_rfc3339_opts(SecondsFormat::Millis, true);
    format!("{time} {:6} {}", line.stream.as_str(), line.text)
}
