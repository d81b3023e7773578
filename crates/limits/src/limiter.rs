use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use slipway_redis::RedisUrl;
use slipway_telemetry::{IntCounter, IntCounterVec, Metrics, MetricsError};

use crate::memory::Memory;
use crate::shared::Shared;
use crate::window::Standing;
use crate::{Counter, Quota};

/// Counts, and says what may happen. Cheap to clone.
#[derive(Clone)]
pub struct Limiter(Arc<State>);

struct State {
    memory: Memory,
    shared: Option<Shared>,
    is_alone: AtomicBool,
    in_redis: Outcomes,
    in_memory: Outcomes,
}

/// How often the answer of one store was which.
struct Outcomes {
    admitted: IntCounter,
    refused: IntCounter,
}

/// Whether something may happen, and where the quota stands that leaves the least room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may; it is counted then.
    pub is_admitted: bool,
    /// The place of that quota among those that were given.
    pub tightest: usize,
    /// How often more it allows at once.
    pub remaining: u32,
    /// How long until it allows one more; nothing where it does.
    pub wait: Duration,
}

impl Limiter {
    /// Makes a limiter that counts in Redis, where there is one.
    pub fn new(redis: Option<&RedisUrl>, metrics: &Metrics) -> Result<Self, MetricsError> {
        let name = "limits_counted_total";
        let counted = metrics.counter(name, "What limits were asked for.", &["store", "outcome"])?;
        let state = State {
            memory: Memory::new(),
            shared: redis.map(Shared::new),
            is_alone: AtomicBool::new(false),
            in_redis: Outcomes::of(&counted, "redis"),
            in_memory: Outcomes::of(&counted, "memory"),
        };
        Ok(Self(Arc::new(state)))
    }

    /// Counts once in each of the counters given, where all quotas have room.
    pub async fn count(&self, wanted: &[(impl Counter, Quota)]) -> Verdict {
        let shared = match &self.0.shared {
            Some(shared) => self.noted(shared.count(wanted).await),
            None => None,
        };
        let (outcomes, verdict) = match shared {
            Some(verdict) => (&self.0.in_redis, verdict),
            None => (&self.0.in_memory, self.0.memory.count(wanted)),
        };
        if verdict.is_admitted { &outcomes.admitted } else { &outcomes.refused }.inc();
        verdict
    }

    /// Forgets what a counter has counted.
    pub async fn forget(&self, counter: &impl Counter) {
        self.0.memory.forget(counter);
        if let Some(shared) = &self.0.shared {
            self.noted(shared.forget(&counter.name()).await);
        }
    }

    /// Takes what Redis said, and says in the log when it begins or ceases to say nothing.
    fn noted<T>(&self, said: Result<T, slipway_redis::RedisFault>) -> Option<T> {
        let was_alone = self.0.is_alone.swap(said.is_err(), Ordering::Relaxed);
        match said {
            Ok(said) => {
                if was_alone {
                    tracing::info!("limits are counted in redis again");
                }
                Some(said)
            }
            Err(fault) => {
                if !was_alone {
                    tracing::warn!(error = %fault, "redis does not count: limits are counted in memory");
                }
                None
            }
        }
    }
}

impl Outcomes {
    fn of(counted: &IntCounterVec, store: &str) -> Self {
        let outcome = |outcome| counted.with_label_values(&[store, outcome]);
        Self { admitted: outcome("admitted"), refused: outcome("refused") }
    }
}

impl Verdict {
    /// Finds the tightest of the quotas.
    pub(crate) fn of(is_admitted: bool, standings: impl Iterator<Item = Standing>) -> Self {
        let tightest = standings.enumerate().min_by_key(|(_, standing)| {
            // Of several that are full, the one that is so for the longest.
            (standing.remaining, std::cmp::Reverse(standing.wait_ms))
        });
        match tightest {
            Some((tightest, Standing { remaining, wait_ms })) => {
                Self { is_admitted, tightest, remaining, wait: Duration::from_millis(wait_ms) }
            }
            None => Self { is_admitted, tightest: 0, remaining: u32::MAX, wait: Duration::ZERO },
        }
    }
}
