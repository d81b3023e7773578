use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_kernel::{ExecutionId, LogLineId};
use slipway_models::functions::{LogLine as LogLineBody, LogStream};

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

/// Replaces NUL, which PostgreSQL's `text` cannot keep, by the replacement character.
pub fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl From<LogLine> for LogLineBody {
    fn from(line: LogLine) -> Self {
        Self { time: line.time, execution_id: line.execution_id, stream: line.stream, text: line.text }
    }
}
