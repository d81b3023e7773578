use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_kernel::{ExecutionId, FunctionId, LogLineId};
use slipway_models::functions::{LogLine as LogLineBody, LogStream};
use uuid::Uuid;

/// One line that a run printed. Its id sorts by the moment at which the runner received it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The line.
    pub id: LogLineId,
    /// The run that printed it.
    pub execution_id: ExecutionId,
    /// When the instance read it.
    pub time: DateTime<Utc>,
    /// Where it came from.
    pub stream: LogStream,
    /// The text, without its end and without NUL, which PostgreSQL cannot keep.
    pub text: String,
}

impl LogLine {
    /// Receives a line.
    pub fn received(execution_id: ExecutionId, time: DateTime<Utc>, stream: LogStream, text: &str) -> Self {
        Self { id: LogLineId::generate(), execution_id, time, stream, text: without_nul(text) }
    }
}

/// Which lines are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFilter {
    /// Of this function.
    pub function_id: FunctionId,
    /// Of this run alone.
    pub execution_id: Option<ExecutionId>,
    /// Read at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Received before this line: set by the page.
    pub before: Option<Uuid>,
}

impl LogFilter {
    /// Tells whether a line of the filter's function is asked for.
    pub fn admits(&self, line: &LogLine) -> bool {
        self.execution_id.is_none_or(|id| line.execution_id == id)
            && self.since.is_none_or(|since| line.time >= since)
            && self.before.is_none_or(|before| line.id.as_uuid() < before)
    }
}

/// Replaces NUL, which PostgreSQL's `text` cannot keep, by the replacement character.
pub fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl From<LogLine> for LogLineBody {
    fn from(line: LogLine) -> Self {
        Self { time: line.time, execution_id: line.execution_id, stream: line.stream, text: line.text }
    }
}
