use chrono::SecondsFormat;
use slipway_clients::platform::LogQuery;
use slipway_models::functions::{LogLine, LogStream};

use crate::arguments::Logs;
use crate::commands::find;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Store;

/// Prints the newest lines in the order of time. As JSON it is one line of JSON a line.
pub(crate) async fn run(options: Logs, store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let function = find(&client, &options.function).await?;
    let mut lines = Vec::new();
    let mut cursor = None;
    // The platform lists the newest line first.
    while lines.len() < options.limit {
        let query =
            LogQuery { since: options.since, execution_id: options.execution, cursor: cursor.as_deref() };
        let page = client.logs(function.id, &query).await?;
        lines.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    lines.truncate(options.limit);
    lines
        .iter()
        .rev()
        .try_for_each(|line| if output.is_json() { output::value(line) } else { output::line(&text(line)) })
}

fn text(line: &LogLine) -> String {
    let time = line.time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let stream = match line.stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
        LogStream::Log => "log",
        LogStream::System => "system",
    };
    format!("{time} {stream:6} {}", line.text)
}
