use chrono::SecondsFormat;
use slipway_models::functions::{ExecutionBody, ExecutionStatus};

use crate::commands::find;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Store;

pub(crate) async fn run(
    function: &str,
    dead_letter: bool,
    store: &Store,
    output: &Output,
) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let function = find(&client, function).await?;
    let page = if dead_letter {
        client.dead_letters(function.id, None).await?
    } else {
        client.executions(function.id, None).await?
    };
    let executions = page.items;
    if output.is_json() {
        return output::value(&executions);
    }
    let rows: Vec<_> = executions.iter().map(row).collect();
    output::table(["QUEUED", "STATUS", "VERSION", "DURATION", "START", "ID"], &rows)
}

fn row(execution: &ExecutionBody) -> [String; 6] {
    let duration = execution.duration_ms.map_or_else(|| "-".to_owned(), |time| format!("{time:.1} ms"));
    [
        execution.queued_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        status(execution.status).to_owned(),
        execution.version.to_string(),
        duration,
        execution.cold_start_ms.map_or_else(|| "warm".to_owned(), |time| format!("cold, {time:.0} ms")),
        execution.id.to_string(),
    ]
}

pub(super) const fn status(status: ExecutionStatus) -> &'static str {
    match status {
        ExecutionStatus::Queued => "queued",
        ExecutionStatus::Running => "running",
        ExecutionStatus::Succeeded => "succeeded",
        ExecutionStatus::Failed => "failed",
        ExecutionStatus::TimedOut => "timed out",
        ExecutionStatus::Cancelled => "cancelled",
    }
}
