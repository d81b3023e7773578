//! The records of runs: written to the spool at once, to PostgreSQL in batches, and read from both as one.
//!
//! Where PostgreSQL is away, runs go on and their records wait on disk and in memory. Past a bound
//! ([`RecordsConfig::max_pending_bytes`]) no new run begins, so that no record is ever dropped.

mod flush;
mod follow;
mod pending;
mod retention;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
pub use flush::Flusher;
pub(crate) use flush::roll_up;
use follow::Followers;
pub use follow::{FollowEnd, Follower, FollowerPlace, TooManyFollowers};
use pending::Pending;
pub use retention::{Retention, Sweeper};
use slipway_config::Reader;
use slipway_db::{Database, DbError};
use slipway_kernel::{Cursor, ExecutionId, FunctionId, Page, PageRequest, SharedClock, UserId};
use slipway_models::functions::{ExecutionError, ExecutionStatus, StatsBody};

use crate::domain::stats::Window;
use crate::domain::{Execution, ExecutionFilter, LogFilter, LogLine, SignatureMark};
use crate::spool::{Fsync, Record, Spool, SpoolConfig, SpoolError, SpooledRecord};
use crate::store;
use uuid::Uuid;

/// How runs are recorded.
#[derive(Debug, Clone)]
pub struct RecordsConfig {
    /// The spool.
    pub spool: SpoolConfig,
    /// How much may wait for PostgreSQL before new calls are refused, in bytes.
    pub max_pending_bytes: usize,
}

impl RecordsConfig {
    /// Reads `SPOOL_FSYNC` (`interval` or `always`; interval), `SPOOL_SEGMENT_MB` (1 to 1,024, 16) and
    /// `SPOOL_MAX_PENDING_MB` (1 to 65,536, 256). The spool lies in `state_dir`.
    pub fn read(reader: &mut Reader<'_>, state_dir: &Path) -> Self {
        const MIB: usize = 1024 * 1024;
        let segment_mb: u32 = reader.within("SPOOL_SEGMENT_MB", 16, 1..=1_024);
        let max_pending_mb: u16 = reader.within("SPOOL_MAX_PENDING_MB", 256, 1..=u16::MAX);
        Self {
            spool: SpoolConfig {
                directory: state_dir.join("spool"),
                segment_bytes: u64::from(segment_mb) * MIB as u64,
                fsync: reader.or("SPOOL_FSYNC", Fsync::Interval),
            },
            max_pending_bytes: usize::from(max_pending_mb) * MIB,
        }
    }
}

/// Says why a run may not begin.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    /// PostgreSQL has been away for too long.
    #[error("{0} bytes of records wait for the database")]
    Backlog(usize),
    /// The spool cannot be written.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// The records of runs, written and read.
pub struct Records {
    spool: Spool,
    pending: Arc<Pending>,
    database: Database,
    max_pending_bytes: usize,
    followers: Arc<Followers>,
}

impl Records {
    /// Opens the records. What an earlier process left in the spool is taken over; the runs that it left under way
    /// have failed with `runner_restarted`.
    ///
    /// # Errors
    /// The spool's directory cannot be used, or another process uses it.
    pub async fn open(config: RecordsConfig, database: Database, clock: &SharedClock) -> io::Result<Self> {
        let pending = Arc::new(Pending::default());
        let observer = Arc::clone(&pending);
        let open = move || Spool::open(config.spool, move |spooled| observer.push(spooled));
        let (spool, left) = tokio::task::spawn_blocking(open).await.map_err(io::Error::other)??;
        for spooled in left {
            pending.push(spooled);
        }
        for mut execution in pending.unended() {
            let error = ExecutionError {
                kind: "runner_restarted".to_owned(),
                message: "the function runner was restarted while this ran".to_owned(),
                trace: None,
            };
            execution.fail(ExecutionStatus::Failed, error, clock.now());
            let ended = Record::Ended { execution, lines: Vec::new() };
            spool.append(ended).await.map_err(io::Error::other)?;
        }
        let followers = Arc::default();
        Ok(Self { spool, pending, database, max_pending_bytes: config.max_pending_bytes, followers })
    }

    /// Writes that a call has come in.
    pub async fn began(&self, execution: Execution) -> Result<(), NotRecorded> {
        let waiting = self.pending.bytes();
        if waiting > self.max_pending_bytes {
            return Err(NotRecorded::Backlog(waiting));
        }
        Ok(self.spool.append(Record::Began { execution }).await?)
    }

    /// Shows readers that an instance has taken the call. It needs no place on disk: the end says it again.
    pub fn running(&self, execution: &Execution) {
        self.pending.show(execution);
    }

    /// Writes lines of a run that goes on: those that `take` returns when there is room for them.
    pub async fn printed(
        &self,
        execution: &Execution,
        take: impl FnOnce() -> Vec<LogLine>,
    ) -> Result<(), SpoolError> {
        let make = || {
            let mut record = Record::Printed {
                execution_id: execution.id,
                function_id: execution.function_id,
                owner: execution.owner,
                lines: take(),
            };
            record.renew_line_ids();
            record
        };
        self.spool.append_in_order(make).await
    }

    /// Writes how a run ended, with the lines that were not written before.
    ///
    /// # Errors
    /// The disk refuses. PostgreSQL will have the record all the same unless this process dies before.
    pub async fn ended(&self, execution: Execution, lines: Vec<LogLine>) -> Result<(), SpoolError> {
        let mut record = Record::Ended { execution, lines };
        let make = || {
            record.renew_line_ids();
            record.clone()
        };
        let outcome = self.spool.append_in_order(make).await;
        if outcome.is_err() {
            self.pending.push(SpooledRecord::in_memory(record));
        }
        outcome
    }

    /// Finds an execution of an owner's.
    pub async fn find(&self, owner: UserId, id: ExecutionId) -> Result<Option<Execution>, DbError> {
        if let Some(execution) = self.pending.find(owner, id) {
            return Ok(Some(execution));
        }
        self.database
            .run("execution.find", move |connection| store::executions::find(connection, owner, id))
            .await
    }

    /// Lists the executions of an owner's function, newest first.
    pub async fn list(
        &self,
        owner: UserId,
        filter: ExecutionFilter,
        page: PageRequest,
    ) -> Result<Page<Execution>, DbError> {
        // Before the database is asked: what moves there in between is found twice, never missed.
        let mut pending = self.pending.executions(owner, filter.function_id);
        let before = page.after();
        pending.retain(|id, _| before.is_none_or(|before| id.as_uuid() < before));
        // What the database has of these may be old, and be left out of the page.
        let limit = page.fetch_limit() + i64::try_from(pending.len()).unwrap_or_default();
        let rows = self
            .database
            .run("execution.list", move |connection| {
                store::executions::list(connection, owner, filter, before, limit)
            })
            .await?;
        for row in rows {
            if row.is_finished() || !pending.contains_key(&row.id) {
                pending.insert(row.id, row);
            }
        }
        let admitted = pending.into_values().rev().filter(|execution| filter.admits(execution));
        Ok(Page::from_rows(admitted.collect(), &page, |execution| execution.id.as_uuid()))
    }

    /// Lists the signatures that set off the runs of an owner's function that came in at `since` or later, and perhaps
    /// some before.
    pub async fn signatures(
        &self,
        owner: UserId,
        function_id: FunctionId,
        since: DateTime<Utc>,
    ) -> Result<Vec<SignatureMark>, DbError> {
        // Before the database is asked: what moves there in between is found twice, never missed.
        let pending = self.pending.executions(owner, function_id);
        let mut marks = self
            .database
            .run("execution.list_signatures", move |connection| {
                store::executions::list_signatures(connection, owner, function_id, since)
            })
            .await?;
        marks.extend(pending.into_values().filter_map(|execution| Some(execution.signed_by?.signature)));
        Ok(marks)
    }

    /// Sums up the runs of an owner's function that ended within a period: those in the database and those that wait
    /// for it, each once.
    pub async fn stats(
        &self,
        owner: UserId,
        function_id: FunctionId,
        window: Window,
    ) -> Result<StatsBody, DbError> {
        // Before the database is asked, which then says which of these it has counted meanwhile.
        let mut pending = self.pending.samples(owner, function_id);
        let ids: Vec<_> = pending.iter().map(|sample| sample.id).collect();
        let (stored, counted) = self
            .database
            .run("rollup.list", move |connection| {
                store::rollups::list(connection, owner, function_id, window, ids)
            })
            .await?;
        pending.retain(|sample| !counted.contains(&sample.id));
        Ok(window.sum(stored, &pending))
    }

    /// Lists the lines of an owner's function, newest first. A search looks through a bounded number of lines: its page
    /// may have few lines, or none, and lead to a next one.
    pub async fn lines(
        &self,
        owner: UserId,
        filter: LogFilter,
        page: PageRequest,
    ) -> Result<Page<LogLine>, DbError> {
        let before = page.after().unwrap_or(Uuid::max());
        let pending = self.pending.lines(owner, &filter, before);
        let stretch = self
            .database
            .run("log_line.list", move |connection| {
                store::log_lines::list(connection, owner, &filter, before, page.fetch_limit())
            })
            .await?;
        let lines = pending.into_iter().chain(stretch.lines);
        let merged: BTreeMap<_, _> = lines.map(|line| (line.id, line)).collect();
        let newest_first = merged.into_values().rev().collect();
        let mut found = Page::from_rows(newest_first, &page, |line| line.id.as_uuid());
        if found.next_cursor.is_none() {
            found.next_cursor = stretch.end.map(|end| Cursor(end).encode());
        }
        Ok(found)
    }
}
