//! What is deleted of old runs and lines, in the background.

use std::time::Duration;

use chrono::TimeDelta;
use slipway_config::Reader;
use slipway_db::{Database, DbError, PgConnection};
use slipway_kernel::{FunctionId, SharedClock, UserId};
use slipway_telemetry::{IntCounterVec, Metrics, MetricsError};
use tokio_util::sync::CancellationToken;

use crate::domain::stats::Width;
use crate::domain::{SIGNATURE_WINDOW_SECONDS, id_at};
use crate::store;

const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// What one statement deletes, and how long others have before the next.
const STEP: i64 = 1_000;
const PAUSE: Duration = Duration::from_millis(20);
/// Functions that are listed at a time.
const FUNCTIONS: i64 = 100;

/// How much of a function's past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Its runs.
    pub executions: Kept,
    /// What they printed.
    pub lines: Kept,
}

/// What is older than the one or beyond the other goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// How long.
    pub age: TimeDelta,
    /// How many of them, the newest.
    pub count: u32,
}

impl Retention {
    /// Reads `EXECUTIONS_KEPT_DAYS` (1 to 3,650; 30), `EXECUTIONS_KEPT` (1,000 to 100,000,000; 100,000),
    /// `LOG_LINES_KEPT_DAYS` (1 to 3,650; 14) and `LOG_LINES_KEPT` (10,000 to 1,000,000,000; 1,000,000).
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let days = |days: u16| TimeDelta::days(days.into());
        Self {
            executions: Kept {
                age: days(reader.within("EXECUTIONS_KEPT_DAYS", 30, 1..=3_650)),
                count: reader.within("EXECUTIONS_KEPT", 100_000, 1_000..=100_000_000),
            },
            lines: Kept {
                age: days(reader.within("LOG_LINES_KEPT_DAYS", 14, 1..=3_650)),
                count: reader.within("LOG_LINES_KEPT", 1_000_000, 10_000..=1_000_000_000),
            },
        }
    }
}

/// How long sums are kept: past what is shown of them, the longest a year and a month.
fn kept_sums(width: Width) -> TimeDelta {
    match width {
        Width::Minute => TimeDelta::hours(2),
        Width::Quarter => TimeDelta::days(2),
        Width::TwoHours => TimeDelta::days(400),
    }
}

/// Deletes what is not kept, in steps that hold up neither readers nor the flush.
pub struct Sweeper {
    database: Database,
    clock: SharedClock,
    retention: Retention,
    swept: IntCounterVec,
}

impl Sweeper {
    /// Prepares it.
    ///
    /// # Errors
    /// Refuses a second one under the same metrics.
    pub fn new(
        database: Database,
        clock: SharedClock,
        retention: Retention,
        metrics: &Metrics,
    ) -> Result<Self, MetricsError> {
        let help = "Rows of old runs that retention has deleted.";
        let swept = metrics.counter("functions_records_swept_total", help, &["kind"])?;
        Ok(Self { database, clock, retention, swept })
    }

    /// Sweeps from time to time until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let sweeping = async {
            let mut due = tokio::time::interval(SWEEP_EVERY);
            loop {
                due.tick().await;
                if let Err(error) = self.sweep().await {
                    tracing::warn!(%error, "old runs are not swept: trying again later");
                }
            }
        };
        stop.run_until_cancelled(sweeping).await;
    }

    /// Sweeps the records of every function, and the keys of requests that nobody may repeat any more.
    pub async fn sweep(&self) -> Result<(), DbError> {
        let now = self.clock.now();
        self.step_by_step("idempotency_key", move |connection| {
            slipway_db::purge_expired(connection, now, STEP)
        })
        .await?;
        let mut after = None;
        loop {
            let functions = self
                .database
                .run("retention.list_functions", move |connection| {
                    store::functions::list_ids(connection, after, FUNCTIONS)
                })
                .await?;
            let Some((last, _)) = functions.last() else { return Ok(()) };
            after = Some(*last);
            for (id, owner) in functions {
                self.sweep_function(owner, id).await?;
            }
        }
    }

    async fn sweep_function(&self, owner: UserId, id: FunctionId) -> Result<(), DbError> {
        let now = self.clock.now();
        let Retention { executions, lines } = self.retention;
        let oldest = id_at(now - executions.age);
        // Its signature may be good until then, and sets off no second run while the first is on record.
        let oldest_signed = id_at(now - TimeDelta::seconds(3 * SIGNATURE_WINDOW_SECONDS));
        self.step_by_step("execution", move |connection| {
            store::executions::sweep(connection, owner, id, oldest, oldest_signed, executions.count, STEP)
        })
        .await?;
        let oldest = id_at(now - lines.age);
        self.step_by_step("log_line", move |connection| {
            store::log_lines::sweep(connection, owner, id, oldest, lines.count, STEP)
        })
        .await?;
        for width in Width::ALL {
            let before = now - kept_sums(width);
            self.step_by_step("rollup", move |connection| {
                store::rollups::sweep(connection, owner, id, width, before)
            })
            .await?;
        }
        Ok(())
    }

    async fn step_by_step(
        &self,
        kind: &'static str,
        step: impl Fn(&mut PgConnection) -> Result<usize, DbError> + Copy + Send + 'static,
    ) -> Result<(), DbError> {
        loop {
            let deleted = self.database.transaction("retention.sweep", step).await?;
            if deleted == 0 {
                return Ok(());
            }
            self.swept.with_label_values(&[kind]).inc_by(deleted as u64);
            tokio::time::sleep(PAUSE).await;
        }
    }
}
