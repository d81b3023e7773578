use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_kernel::{ExecutionId, FunctionId, UserId};
use slipway_models::functions::{ExecutionBody, ExecutionError, ExecutionStatus};

use super::{SignedBy, Version};

/// What a run's record keeps of the answer, in bytes.
const KEPT_RESULT: usize = 1024 * 1024;

/// One run of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// The run.
    pub id: ExecutionId,
    /// The function that runs.
    pub function_id: FunctionId,
    /// Whose function it is.
    pub owner: UserId,
    /// The version that runs.
    pub version: i32,
    /// What set it off.
    pub trigger: Trigger,
    /// How it stands or ended.
    pub status: ExecutionStatus,
    /// When the call came in.
    pub queued_at: DateTime<Utc>,
    /// When an instance took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The time before an instance took it, in milliseconds.
    pub queue_ms: Option<f64>,
    /// The time that starting an instance took, in milliseconds; none when one was warm.
    pub cold_start_ms: Option<f64>,
    /// The time in the handler, in milliseconds.
    pub duration_ms: Option<f64>,
    /// The instance's peak memory so far, in bytes.
    pub peak_memory_bytes: Option<i64>,
    /// The CPU time that the instance used meanwhile, user and system, in milliseconds.
    pub cpu_ms: Option<f64>,
    /// The handler's status.
    pub status_code: Option<u16>,
    /// The handler's body, or the beginning of it.
    pub result: Option<Value>,
    /// True when the body was larger than what is kept.
    pub result_truncated: bool,
    /// Why it failed; of one that waits for its next attempt, why the last one did.
    pub error: Option<ExecutionError>,
    /// How often it has begun.
    #[serde(default)]
    pub attempt: i32,
    /// True where nobody waited for it and its last attempt failed.
    #[serde(default)]
    pub dead_letter: bool,
    /// The run whose input it was given.
    #[serde(default)]
    pub replayed_from: Option<ExecutionId>,
    /// What let it in, where that was a signature.
    #[serde(default)]
    pub signed_by: Option<SignedBy>,
}

/// What sets a run off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// `POST /functions/{id}/invoke`.
    Invoke,
    /// The same with `mode=async`: nobody waits for it.
    Async,
    /// `POST /executions/{id}/replay`.
    Replay,
    /// `/f/{handle}/{name}/…`.
    Http,
}

/// Which runs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutionFilter {
    /// Of this function.
    pub function_id: FunctionId,
    /// That stand like this.
    pub status: Option<ExecutionStatus>,
    /// That were set off by this.
    pub trigger: Option<Trigger>,
    /// That are dead letters, or are none.
    pub dead_letter: Option<bool>,
}

impl ExecutionFilter {
    /// Tells whether a run of the filter's function is asked for.
    pub fn admits(&self, execution: &Execution) -> bool {
        self.status.is_none_or(|status| execution.status == status)
            && self.trigger.is_none_or(|trigger| execution.trigger == trigger)
            && self.dead_letter.is_none_or(|dead_letter| execution.dead_letter == dead_letter)
    }
}

impl Trigger {
    /// Returns the name as it is kept and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Async => "async",
            Self::Replay => "replay",
            Self::Http => "http",
        }
    }
}

impl Execution {
    /// Records that a call has come in.
    pub fn queued(version: &Version, trigger: Trigger, now: DateTime<Utc>) -> Self {
        Self {
            id: ExecutionId::generate(),
            function_id: version.function_id,
            owner: version.owner,
            version: version.number,
            trigger,
            status: ExecutionStatus::Queued,
            queued_at: now,
            started_at: None,
            finished_at: None,
            queue_ms: None,
            cold_start_ms: None,
            duration_ms: None,
            peak_memory_bytes: None,
            cpu_ms: None,
            status_code: None,
            result: None,
            result_truncated: false,
            error: None,
            attempt: 0,
            dead_letter: false,
            replayed_from: None,
            signed_by: None,
        }
    }

    /// Records that an instance of version `version` took the call: for the first time, or for another attempt.
    pub fn begin(&mut self, version: i32, now: DateTime<Utc>, cold_start_ms: Option<f64>) {
        self.version = version;
        self.status = ExecutionStatus::Running;
        self.attempt += 1;
        self.started_at = Some(now);
        self.queue_ms = Some(milliseconds(now - self.queued_at));
        self.cold_start_ms = cold_start_ms;
    }

    /// Records what the run took of its instance.
    pub fn used(&mut self, peak_memory_bytes: Option<i64>, cpu_ms: Option<f64>) {
        self.peak_memory_bytes = peak_memory_bytes;
        self.cpu_ms = cpu_ms;
    }

    /// Records the handler's answer. Of a body past 1 MiB, its beginning is kept as text.
    pub fn succeed(&mut self, status_code: u16, result: Value, size: usize, now: DateTime<Utc>) {
        self.status_code = Some(status_code);
        self.result_truncated = size > KEPT_RESULT;
        self.result = Some(if self.result_truncated { beginning_of(&result) } else { result });
        self.error = None;
        self.end(ExecutionStatus::Succeeded, now);
    }

    /// Records an end without an answer.
    pub fn fail(&mut self, status: ExecutionStatus, error: ExecutionError, now: DateTime<Utc>) {
        self.error = Some(error);
        self.end(status, now);
    }

    /// Records that a run which has failed waits for another attempt.
    pub fn wait_again(&mut self) {
        self.status = ExecutionStatus::Queued;
        self.started_at = None;
        self.finished_at = None;
        self.queue_ms = None;
        self.cold_start_ms = None;
        self.duration_ms = None;
        self.used(None, None);
    }

    /// Records that an attempt was broken off through no fault of the function's: it does not count.
    pub fn wait_uncounted(&mut self) {
        self.attempt -= 1;
        self.error = None;
        self.wait_again();
    }

    /// Tells whether the run has ended.
    pub fn is_finished(&self) -> bool {
        self.finished_at.is_some()
    }

    fn end(&mut self, status: ExecutionStatus, now: DateTime<Utc>) {
        self.status = status;
        self.finished_at = Some(now);
        self.duration_ms = self.started_at.map(|started| milliseconds(now - started));
    }
}

impl From<Execution> for ExecutionBody {
    fn from(execution: Execution) -> Self {
        Self {
            id: execution.id,
            function_id: execution.function_id,
            version: execution.version,
            trigger: execution.trigger.as_str().to_owned(),
            status: execution.status,
            queued_at: execution.queued_at,
            started_at: execution.started_at,
            finished_at: execution.finished_at,
            queue_ms: execution.queue_ms,
            cold_start_ms: execution.cold_start_ms,
            duration_ms: execution.duration_ms,
            peak_memory_bytes: execution.peak_memory_bytes,
            cpu_ms: execution.cpu_ms,
            status_code: execution.status_code,
            result: execution.result,
            result_truncated: execution.result_truncated,
            error: execution.error,
            attempt: execution.attempt,
            dead_letter: execution.dead_letter,
            replayed_from: execution.replayed_from,
            signing_key_id: execution.signed_by.map(|signed| signed.key_id),
        }
    }
}

fn milliseconds(span: TimeDelta) -> f64 {
    span.max(TimeDelta::zero()).as_seconds_f64() * 1_000.0
}

fn beginning_of(result: &Value) -> Value {
    let text = match result {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Value::String(text[..text.floor_char_boundary(KEPT_RESULT)].to_owned())
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    fn at(millisecond: i64) -> DateTime<Utc> {
        Utc.timestamp_millis_opt(1_700_000_000_000 + millisecond).unwrap()
    }

    fn queued() -> Execution {
        let version = Version { number: 3, ..Version::sample() };
        Execution::queued(&version, Trigger::Invoke, at(0))
    }

    #[test]
    fn a_run_knows_how_long_it_waited_and_how_long_it_took() {
        let mut run = queued();
        run.begin(4, at(20), Some(15.0));
        run.succeed(200, Value::from("hi"), 4, at(50));
        assert_eq!((run.version, run.status, run.is_finished()), (4, ExecutionStatus::Succeeded, true));
        assert_eq!((run.queue_ms, run.duration_ms), (Some(20.0), Some(30.0)));
    }

    #[test]
    fn a_clock_that_steps_back_makes_no_negative_time() {
        let mut run = queued();
        run.begin(3, at(-5), None);
        assert_eq!(run.queue_ms, Some(0.0));
    }

    #[test]
    fn a_result_past_its_limit_is_cut_between_characters_and_marked() {
        let mut run = queued();
        let text = "ä".repeat(KEPT_RESULT);
        run.succeed(200, Value::from(text.clone()), text.len(), at(1));
        assert!(run.result_truncated);
        assert_eq!(run.result, Some(Value::from("ä".repeat(KEPT_RESULT / 2))));
    }
}
