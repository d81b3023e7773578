use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use slipway_kernel::{ExecutionId, FunctionId, UserId};
use slipway_models::functions::StatsFigures;

use super::{Histogram, Width};
use crate::domain::{Execution, without_nul};

/// How many kinds of errors one rollup tells apart; the names are the functions' own.
const MAX_KINDS: usize = 16;
const OTHER_KINDS: &str = "other";

/// What statistics take from a run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The run.
    pub id: ExecutionId,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    error: Option<String>,
    is_cold: bool,
    duration_ms: Option<f64>,
    queue_ms: Option<f64>,
    peak_memory_bytes: Option<i64>,
    cpu_ms: Option<f64>,
}

impl Sample {
    /// Takes it; `None` while the run has not ended.
    pub fn of(execution: &Execution) -> Option<Self> {
        Some(Self {
            id: execution.id,
            finished_at: execution.finished_at?,
            error: execution.error.as_ref().map(|error| without_nul(&error.kind)),
            is_cold: execution.cold_start_ms.is_some(),
            duration_ms: execution.duration_ms,
            queue_ms: execution.queue_ms,
            peak_memory_bytes: execution.peak_memory_bytes,
            cpu_ms: execution.cpu_ms,
        })
    }
}

/// Names one rollup: the runs of a function that ended within a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RollupKey {
    /// The function.
    pub function_id: FunctionId,
    /// Whose function it is.
    pub owner: UserId,
    /// How long the stretch is.
    pub width: Width,
    /// When it begins.
    pub start: DateTime<Utc>,
}

/// The sum of some runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rollup {
    /// How many ended, however they did.
    pub calls: u64,
    /// How many of them failed, by kind: the exception's type or the platform's code.
    pub errors: BTreeMap<String, u64>,
    /// How many had an instance started for them.
    pub cold_starts: u64,
    /// Their times in the handler.
    pub durations: Histogram,
    /// Their times before an instance took them.
    pub queues: Histogram,
    /// The highest peak of an instance's memory, in bytes.
    pub peak_memory_bytes: Option<i64>,
    /// The most CPU time that one of them took, in milliseconds.
    pub peak_cpu_ms: Option<f64>,
}

impl Rollup {
    /// Counts a run.
    pub fn count(&mut self, sample: &Sample) {
        self.calls += 1;
        if let Some(kind) = &sample.error {
            self.count_errors(kind, 1);
        }
        self.cold_starts += u64::from(sample.is_cold);
        sample.duration_ms.into_iter().for_each(|span| self.durations.add(span));
        sample.queue_ms.into_iter().for_each(|span| self.queues.add(span));
        self.raise_peaks(sample.peak_memory_bytes, sample.cpu_ms);
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        for (kind, count) in &other.errors {
            self.count_errors(kind, *count);
        }
        self.cold_starts += other.cold_starts;
        self.durations.merge(&other.durations);
        self.queues.merge(&other.queues);
        self.raise_peaks(other.peak_memory_bytes, other.peak_cpu_ms);
    }

    fn count_errors(&mut self, kind: &str, count: u64) {
        let is_told_apart = self.errors.contains_key(kind) || self.errors.len() < MAX_KINDS;
        let kind = if is_told_apart { kind } else { OTHER_KINDS };
        *self.errors.entry(kind.to_owned()).or_default() += count;
    }

    fn raise_peaks(&mut self, memory_bytes: Option<i64>, cpu_ms: Option<f64>) {
        self.peak_memory_bytes = self.peak_memory_bytes.max(memory_bytes);
        self.peak_cpu_ms = self.peak_cpu_ms.into_iter().chain(cpu_ms).reduce(f64::max);
    }
}

impl From<&Rollup> for StatsFigures {
    fn from(rollup: &Rollup) -> Self {
        Self {
            calls: rollup.calls,
            errors: rollup.errors.values().sum(),
            errors_by_kind: rollup.errors.clone(),
            p50_ms: rollup.durations.quantile(50),
            p95_ms: rollup.durations.quantile(95),
            p99_ms: rollup.durations.quantile(99),
            queue_p95_ms: rollup.queues.quantile(95),
            cold_starts: rollup.cold_starts,
            peak_memory_bytes: rollup.peak_memory_bytes,
            peak_cpu_ms: rollup.peak_cpu_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_errors_are_bounded_and_none_is_lost() {
        let mut sums = [Rollup::default(), Rollup::default()];
        for sum in &mut sums {
            for number in 0..40 {
                sum.count_errors(&format!("Error{number}"), 1);
            }
        }
        let [mut sum, other] = sums;
        sum.merge(&other);
        assert!(sum.errors.len() <= MAX_KINDS + 1);
        assert_eq!((sum.errors["Error0"], sum.errors.values().sum::<u64>()), (2, 80));
    }

    #[test]
    fn peaks_rise_and_never_fall() {
        let mut sum = Rollup::default();
        for (memory, cpu) in [(None, None), (Some(5), Some(2.0)), (Some(3), Some(1.0)), (None, None)] {
            sum.raise_peaks(memory, cpu);
        }
        assert_eq!((sum.peak_memory_bytes, sum.peak_cpu_ms), (Some(5), Some(2.0)));
    }
}
