use std::time::Duration;

use chrono::{DateTime, Utc};
use slipway_bridge::protocol;
use slipway_kernel::{ExecutionId, SharedClock};
use slipway_models::functions::LogStream;
use tokio::time::Instant;

use crate::domain::{LogLine, MAX_TIME_SKEW};

/// What is kept of one run: the bridge keeps to the same bytes, but its word is the function's.
const MAX_BYTES: usize = 256 * 1024;
const MAX_LINES: usize = 10_000;
/// When lines of a run that goes on are written, and whoever follows them sees them.
const WRITE_AFTER: Duration = Duration::from_millis(250);
const WRITE_BYTES: usize = 64 * 1024;

/// What a run prints, until it is written.
pub(crate) struct Log {
    execution_id: ExecutionId,
    clock: SharedClock,
    lines: Vec<LogLine>,
    unwritten_bytes: usize,
    due: Option<Instant>,
    kept: usize,
    kept_bytes: usize,
    cut: u64,
    cut_bytes: u64,
}

impl Log {
    pub(crate) fn new(execution_id: ExecutionId, clock: SharedClock) -> Self {
        Self {
            execution_id,
            clock,
            lines: Vec::new(),
            unwritten_bytes: 0,
            due: None,
            kept: 0,
            kept_bytes: 0,
            cut: 0,
            cut_bytes: 0,
        }
    }

    /// Keeps a line, or counts it where there are too many.
    pub(crate) fn keep(&mut self, line: &protocol::LogLine) {
        let size = line.text.len();
        if self.kept >= MAX_LINES || self.kept_bytes + size > MAX_BYTES {
            self.count_cut(1, size as u64);
            return;
        }
        self.kept += 1;
        self.kept_bytes += size;
        let stream = match line.stream {
            protocol::LogStream::Stdout => LogStream::Stdout,
            protocol::LogStream::Stderr => LogStream::Stderr,
            protocol::LogStream::Log => LogStream::Log,
        };
        self.push(self.believed(line.time_us), stream, &line.text);
    }

    /// Counts lines that were cut elsewhere.
    pub(crate) fn count_cut(&mut self, lines: u64, bytes: u64) {
        self.cut = self.cut.saturating_add(lines);
        self.cut_bytes = self.cut_bytes.saturating_add(bytes);
    }

    /// Returns when the lines should be written; never where there are none.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.unwritten_bytes >= WRITE_BYTES { Some(Instant::now()) } else { self.due }
    }

    /// Takes the lines that are not written yet, to write them.
    pub(crate) fn take_unwritten(&mut self) -> Vec<LogLine> {
        self.unwritten_bytes = 0;
        self.due = None;
        std::mem::take(&mut self.lines)
    }

    /// Ends the log; returns the lines that are not written yet, and a note of what was cut.
    pub(crate) fn finish(mut self) -> Vec<LogLine> {
        if self.cut > 0 {
            let note = format!("{} more lines ({} bytes) were cut", self.cut, self.cut_bytes);
            self.push(self.clock.now(), LogStream::System, &note);
        }
        self.lines
    }

    fn push(&mut self, time: DateTime<Utc>, stream: LogStream, text: &str) {
        self.lines.push(LogLine::received(self.execution_id, time, stream, text));
        self.unwritten_bytes += text.len();
        self.due.get_or_insert_with(|| Instant::now() + WRITE_AFTER);
    }

    /// Returns the time that an instance states, or, where that cannot be, the present.
    fn believed(&self, time_us: i64) -> DateTime<Utc> {
        let now = self.clock.now();
        DateTime::from_timestamp_micros(time_us)
            .filter(|time| (now - time).abs() < MAX_TIME_SKEW)
            .unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;
    use slipway_kernel::{Clock as _, SystemClock};

    use super::*;

    fn log() -> Log {
        Log::new(ExecutionId::generate(), Arc::new(SystemClock))
    }

    fn line(text: &str, time_us: i64) -> protocol::LogLine {
        protocol::LogLine { time_us, stream: protocol::LogStream::Stdout, text: text.to_owned() }
    }

    #[tokio::test]
    async fn what_is_too_much_is_counted_and_noted() {
        let mut log = log();
        for _ in 0..MAX_LINES + 5 {
            log.keep(&line("x", 0));
        }
        log.count_cut(u64::MAX, 1);
        let lines = log.finish();
        assert_eq!(lines.len(), MAX_LINES + 1);
        let note = lines.last().unwrap();
        assert_eq!(
            (note.stream, note.text.as_str()),
            (LogStream::System, "18446744073709551615 more lines (6 bytes) were cut")
        );
    }

    #[tokio::test]
    async fn a_time_that_cannot_be_is_not_believed() {
        let mut log = log();
        let now = SystemClock.now();
        for time_us in [i64::MIN, 0, i64::MAX, now.timestamp_micros()] {
            log.keep(&line("x", time_us));
        }
        for kept in log.take_unwritten() {
            assert!((kept.time - now).abs() < TimeDelta::minutes(5), "{}", kept.time);
        }
    }

    #[tokio::test]
    async fn lines_are_due_soon_and_many_are_due_at_once() {
        let mut log = log();
        assert_eq!(log.due(), None);
        log.keep(&line("x", 0));
        assert!(log.due().unwrap() > Instant::now());
        log.keep(&line(&"x".repeat(WRITE_BYTES), 0));
        assert!(log.due().unwrap() <= Instant::now());
        assert_eq!((log.take_unwritten().len(), log.due(), log.take_unwritten().len()), (2, None, 0));
    }
}
