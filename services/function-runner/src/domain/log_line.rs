use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use slipway_kernel::{ExecutionId, FunctionId, LogLineId};
use slipway_models::functions::{LogLine as LogLineBody, LogStream};
use uuid::Uuid;

/// One line that a run printed. Its id sorts by the moment at which it was recorded: see [`LogLine::renew_id`].
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
    /// Receives a line. It has its final id when it is recorded.
    pub fn received(execution_id: ExecutionId, time: DateTime<Utc>, stream: LogStream, text: &str) -> Self {
        Self { id: LogLineId::generate(), execution_id, time, stream, text: without_nul(text) }
    }

    /// Gives the line an id that sorts after those of all lines that were recorded before.
    pub fn renew_id(&mut self) {
        self.id = LogLineId::generate();
    }
}

/// Which lines are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    /// Of this function.
    pub function_id: FunctionId,
    /// Of this run alone.
    pub execution_id: Option<ExecutionId>,
    /// Read at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Read before this time.
    pub until: Option<DateTime<Utc>>,
    /// Of this stream alone.
    pub stream: Option<LogStream>,
    /// Holding this text, with the letters a to z in either case.
    pub query: Option<String>,
}

/// How far the time at which an instance says it read a line may be from the truth, either way.
pub const MAX_TIME_SKEW: TimeDelta = TimeDelta::days(1);

impl LogFilter {
    /// Asks for all that a function printed.
    pub fn all_of(function_id: FunctionId) -> Self {
        Self { function_id, execution_id: None, since: None, until: None, stream: None, query: None }
    }

    /// Tells whether a line of the filter's function is asked for.
    pub fn admits(&self, line: &LogLine) -> bool {
        self.execution_id.is_none_or(|id| line.execution_id == id)
            && self.since.is_none_or(|since| line.time >= since)
            && self.until.is_none_or(|until| line.time < until)
            && self.stream.is_none_or(|stream| line.stream == stream)
            && self.query.as_deref().is_none_or(|query| contains(&line.text, query))
    }

    /// Returns an id that sorts before those of all lines that [`Self::since`] admits.
    pub fn first_id(&self) -> Uuid {
        self.since.and_then(|since| since.checked_sub_signed(MAX_TIME_SKEW)).map_or(Uuid::nil(), id_at)
    }

    /// Returns an id that sorts after those of all lines that [`Self::until`] admits.
    pub fn last_id(&self) -> Uuid {
        self.until.and_then(|until| until.checked_add_signed(MAX_TIME_SKEW)).map_or(Uuid::max(), id_at)
    }
}

/// Tells whether `text` holds `part`, with the letters a to z in either case.
fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// Returns the first `UUIDv7` (RFC 9562) of a moment.
pub fn id_at(time: DateTime<Utc>) -> Uuid {
    const TIME_BITS: u32 = 48;
    let milliseconds = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    if milliseconds >> TIME_BITS > 0 {
        Uuid::max()
    } else {
        Uuid::from_u128(milliseconds << (128 - TIME_BITS))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_either_case_and_only_as_it_is() {
        for (text, part) in [("An Error: 100%", "eRROR"), ("100%", "0%"), ("Ärger", "Ä"), ("x", ""), ("", "")]
        {
            assert!(contains(text, part), "{part} in {text}");
        }
        for (text, part) in
            [("100 per cent", "100%"), ("a-b", "a_b"), ("short", "longer than that"), ("", "x")]
        {
            assert!(!contains(text, part), "{part} in {text}");
        }
    }

    #[test]
    fn ids_enclose_the_lines_of_their_time_whatever_an_instance_says() {
        let id = LogLineId::generate();
        let (seconds, nanoseconds) = id.as_uuid().get_timestamp().unwrap().to_unix();
        let recorded = DateTime::from_timestamp(seconds.try_into().unwrap(), nanoseconds).unwrap();
        for said in [recorded - MAX_TIME_SKEW, recorded, recorded + MAX_TIME_SKEW] {
            let all = LogFilter::all_of(FunctionId::generate());
            let filter =
                LogFilter { since: Some(said), until: Some(said + TimeDelta::milliseconds(2)), ..all };
            assert!(filter.first_id() <= id.as_uuid() && id.as_uuid() < filter.last_id(), "{said}");
        }
        let of = |time| LogFilter {
            since: Some(time),
            until: Some(time),
            ..LogFilter::all_of(FunctionId::generate())
        };
        assert_eq!(of(DateTime::<Utc>::UNIX_EPOCH).first_id(), Uuid::nil());
        assert_eq!(of(DateTime::<Utc>::MIN_UTC).first_id(), Uuid::nil());
        assert_eq!(of(DateTime::<Utc>::MAX_UTC).last_id(), Uuid::max());
    }
}
