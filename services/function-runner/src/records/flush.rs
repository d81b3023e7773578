//! From the spool to PostgreSQL.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use slipway_db::DbError;
use slipway_kernel::{ExecutionId, FunctionId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Records;
use crate::domain::Execution;
use crate::domain::stats::{Rollup, RollupKey, Sample, Width};
use crate::spool::{Record, SpooledRecord};
use crate::store;

/// What one transaction takes.
const BATCH_RECORDS: usize = 1_000;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How long records gather before they are written.
const GATHER: Duration = Duration::from_millis(250);
const MIN_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// How long the last flush of a stopping runner may take. What it leaves is written at the next start.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// The task that moves records to PostgreSQL as they come. Clones stand for the same task.
#[derive(Clone)]
pub struct Flusher {
    task: TaskTracker,
    stop: CancellationToken,
}

impl Flusher {
    /// Starts the task on the current Tokio runtime.
    pub fn start(records: Arc<Records>) -> Self {
        let (task, stop) = (TaskTracker::new(), CancellationToken::new());
        let stopped = stop.clone();
        task.spawn(async move { records.keep_flushing(stopped).await });
        Self { task, stop }
    }

    /// Ends the task when it has moved what is there, or after 5 s: the next start takes over the rest.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.task.close();
        self.task.wait().await;
    }
}

impl Records {
    async fn keep_flushing(&self, stop: CancellationToken) {
        let mut backoff = MIN_BACKOFF;
        loop {
            let pause = match self.flush().await {
                Ok(()) => {
                    backoff = MIN_BACKOFF;
                    tokio::select! { () = self.pending.arrived.notified() => (), () = stop.cancelled() => break }
                    GATHER
                }
                Err(error) => {
                    tracing::warn!(%error, "records wait for the database");
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                    backoff
                }
            };
            tokio::select! { () = tokio::time::sleep(pause) => (), () = stop.cancelled() => break }
        }
        if !matches!(tokio::time::timeout(LAST_FLUSH, self.flush()).await, Ok(Ok(()))) {
            tracing::warn!("records are left in the spool until the next start");
        }
    }

    /// Moves everything that is pending to PostgreSQL. What comes meanwhile gathers for the next time: a transaction of few
    /// records costs nearly as much as one of many.
    pub async fn flush(&self) -> Result<(), DbError> {
        let mut left = self.pending.len();
        while left > 0 {
            let batch = self.pending.oldest(left.min(BATCH_RECORDS), BATCH_BYTES);
            if batch.is_empty() {
                break;
            }
            left = left.saturating_sub(batch.len());
            match self.write(&batch).await {
                Ok(()) => self.settle(&batch),
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => self.write_singly(batch).await?,
            }
        }
        Ok(())
    }

    /// Finds the record that PostgreSQL refuses, so that it alone is lost.
    async fn write_singly(&self, batch: Vec<SpooledRecord>) -> Result<(), DbError> {
        for spooled in batch {
            let one = [spooled];
            match self.write(&one).await {
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    let id = one[0].record.execution_id();
                    tracing::error!(execution.id = %id, %error, "left out a record that the database refuses");
                }
                Ok(()) => {}
            }
            self.settle(&one);
        }
        Ok(())
    }

    async fn write(&self, batch: &[SpooledRecord]) -> Result<(), DbError> {
        let batch = batch.to_vec();
        self.database
            .transaction("records.flush", move |connection| {
                let functions: HashSet<FunctionId> =
                    batch.iter().map(|spooled| spooled.record.function_id()).collect();
                let functions = store::executions::share_functions(connection, functions)?;
                // A deleted function takes its records along.
                let kept = || {
                    let records = batch.iter().map(|spooled| &*spooled.record);
                    records.filter(|record| functions.contains(&record.function_id()))
                };
                let mut executions: BTreeMap<ExecutionId, Execution> = BTreeMap::new();
                // What a spool that is read again would bring back.
                let swept = store::executions::swept(
                    connection,
                    kept().map(|record| (record.function_id(), record.execution_id())),
                )?;
                let kept = || kept().filter(|record| !swept.contains(&record.execution_id()));
                for record in kept() {
                    if let Record::Began { execution } | Record::Ended { execution, .. } = record {
                        executions.insert(execution.id, execution.clone());
                    }
                }
                let written = store::executions::upsert(connection, executions.values().cloned())?;
                // What was there already is counted already.
                let new = executions.values().filter(|execution| written.contains(&execution.id));
                store::rollups::add(connection, roll_up(new))?;
                let lines = kept().flat_map(|record| {
                    let (owner, function_id) = (record.owner(), record.function_id());
                    record.lines().iter().map(move |line| (owner, function_id, line.clone()))
                });
                store::log_lines::insert(connection, lines)
            })
            .await
    }

    fn settle(&self, batch: &[SpooledRecord]) {
        self.pending.settle(batch.len());
        for spooled in batch {
            self.spool.confirm(spooled.segment, 1);
        }
    }
}

/// Sums up the runs that have ended.
pub(crate) fn roll_up<'a>(executions: impl Iterator<Item = &'a Execution>) -> BTreeMap<RollupKey, Rollup> {
    let mut rollups: BTreeMap<RollupKey, Rollup> = BTreeMap::new();
    for execution in executions {
        let Some(sample) = Sample::of(execution) else { continue };
        for width in Width::ALL {
            let key = RollupKey {
                function_id: execution.function_id,
                owner: execution.owner,
                width,
                start: width.start(sample.finished_at),
            };
            rollups.entry(key).or_default().count(&sample);
        }
    }
    rollups
}
