use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use slipway_audit::{Action, Event};
use slipway_config::Reader;
use slipway_db::{Database, DbError, PgConnection};
use slipway_kernel::{ExecutionId, FunctionId, Origin, SharedClock, UserId};
use slipway_models::functions::{ExecutionStatus, InvokeAccepted};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::failure::called_off;
use super::trail;
use super::underway::RunsUnderway;
use super::{Functions, Invocations};
use crate::domain::{AsyncLimits, AsyncRun, Execution, Input, Retry, Trigger, Underway};
use crate::error::FunctionError;
use crate::invoke::Call;
use crate::records::{Records, roll_up};
use crate::store;

/// How long calling off waits for the run to end: its instance is killed, which takes well below a second.
const CALL_OFF_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long the last attempts may take to be written when the runner stops. The next start sees to the rest.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How runs that nobody waits for are carried out.
#[derive(Debug, Clone)]
pub(crate) struct AsyncConfig {
    pub(crate) limits: AsyncLimits,
    pub(crate) retry: Retry,
    /// The most runs of an owner that are queued or under way.
    pub(crate) backlog: usize,
    /// The most bytes of what a run is given.
    pub(crate) input_bytes: usize,
    /// When a run that found no instance, or was not done in its attempts, is given up.
    pub(crate) max_age: TimeDelta,
}

impl AsyncConfig {
    /// Reads `ASYNC_AT_A_TIME` (1 to 1,000, 16), `ASYNC_PER_OWNER` (8), `ASYNC_PER_FUNCTION` (4), `ASYNC_ATTEMPTS`
    /// (1 to 20, 3), `ASYNC_BACKOFF_MS` (1,000), `ASYNC_BACKOFF_MAX_MS` (300,000), `ASYNC_BACKLOG` (1,000),
    /// `ASYNC_INPUT_KB` (1 to 8,192, 256) and `ASYNC_MAX_AGE_SECONDS` (21,600).
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        const HOUR_MS: u64 = 3_600_000;
        Self {
            limits: AsyncLimits {
                in_all: reader.within("ASYNC_AT_A_TIME", 16, 1..=1_000),
                per_owner: reader.within("ASYNC_PER_OWNER", 8, 1..=1_000),
                per_function: reader.within("ASYNC_PER_FUNCTION", 4, 1..=1_000),
            },
            retry: Retry {
                attempts: reader.within("ASYNC_ATTEMPTS", 3, 1..=20),
                base: Duration::from_millis(reader.within("ASYNC_BACKOFF_MS", 1_000, 1..=24 * HOUR_MS)),
                cap: Duration::from_millis(reader.within("ASYNC_BACKOFF_MAX_MS", 300_000, 1..=24 * HOUR_MS)),
            },
            backlog: reader.within("ASYNC_BACKLOG", 1_000, 1..=1_000_000),
            input_bytes: 1_024 * reader.within("ASYNC_INPUT_KB", 256, 1..=8_192),
            max_age: TimeDelta::seconds(reader.within("ASYNC_MAX_AGE_SECONDS", 21_600, 1..=604_800)),
        }
    }
}

/// Runs that nobody waits for: a queue in PostgreSQL, and what takes from it.
///
/// A run is a row before it is accepted, and its record is in PostgreSQL alone until it has ended: the spool holds
/// what it prints. What a killed process had taken, the next one puts back. See
/// `proto-docs/adr/0010-async-runs-in-postgresql.md`.
pub(crate) struct AsyncRuns {
    pub(super) db: Database,
    pub(super) clock: SharedClock,
    pub(super) functions: Arc<Functions>,
    pub(super) invocations: Arc<Invocations>,
    pub(super) records: Arc<Records>,
    pub(super) in_hand: Arc<RunsUnderway>,
    pub(super) config: AsyncConfig,
    pub(super) stopping: CancellationToken,
    pub(super) arrived: Notify,
    pub(super) tasks: TaskTracker,
    counts: Mutex<Underway>,
}

impl AsyncRuns {
    #[expect(clippy::too_many_arguments, reason = "each is a part of the service")]
    pub(crate) fn new(
        db: Database,
        clock: SharedClock,
        functions: Arc<Functions>,
        invocations: Arc<Invocations>,
        records: Arc<Records>,
        in_hand: Arc<RunsUnderway>,
        config: AsyncConfig,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            db,
            clock,
            functions,
            invocations,
            records,
            in_hand,
            config,
            stopping,
            arrived: Notify::new(),
            tasks: TaskTracker::new(),
            counts: Mutex::default(),
        }
    }

    /// Accepts a call that nobody waits for: when this returns, it will be carried out, whatever happens here.
    pub(crate) async fn accept(
        &self,
        owner: UserId,
        function_id: FunctionId,
        call: Call,
    ) -> Result<InvokeAccepted, FunctionError> {
        let input = call.into_input().map_err(std::io::Error::from)?;
        if input.body.len() + input.head.to_string().len() > self.config.input_bytes {
            return Err(FunctionError::InputTooLarge(self.config.input_bytes as u64));
        }
        let version = self.functions.active_version(owner, function_id).await?;
        let execution = Execution::queued(&version, Trigger::Async, self.clock.now());
        self.enqueue(AsyncRun { execution, input }, None).await
    }

    /// Has a run that has ended run again, with the same input and as a run of its own.
    pub(crate) async fn replay(
        &self,
        owner: UserId,
        id: ExecutionId,
        origin: Origin,
    ) -> Result<InvokeAccepted, FunctionError> {
        let before = self.find(owner, id).await?;
        if !before.is_finished() {
            return Err(FunctionError::ExecutionNotFinished);
        }
        let input: Option<Input> = self
            .db
            .run("async_run.find_input", move |connection| store::async_runs::find_input(connection, id))
            .await?;
        let input = input.ok_or(FunctionError::InputNotKept)?;
        let version = self.functions.active_version(owner, before.function_id).await?;
        let mut execution = Execution::queued(&version, Trigger::Replay, self.clock.now());
        execution.replayed_from = Some(id);
        let event = trail::by(owner, Action::EXECUTION_REPLAY, &origin, execution.queued_at)
            .on("execution", &id)
            .with("function_id", execution.function_id.to_string())
            .with("new_execution_id", execution.id.to_string());
        self.enqueue(AsyncRun { execution, input }, Some(event)).await
    }

    /// Calls a run off: one that is queued never begins, one that has begun is ended with its instance. Returns the
    /// final record. Calling off what was called off is done already.
    pub(crate) async fn call_off(
        &self,
        owner: UserId,
        id: ExecutionId,
        origin: Origin,
    ) -> Result<Execution, FunctionError> {
        let patience = Instant::now() + CALL_OFF_WITHIN;
        let mut is_recorded = false;
        loop {
            let execution = self.find(owner, id).await?;
            match execution.status {
                ExecutionStatus::Cancelled => return Ok(execution),
                _ if execution.is_finished() => return Err(FunctionError::ExecutionFinished),
                _ if Instant::now() > patience => return Err(FunctionError::NotCalledOff),
                _ => {}
            }
            let event = trail::by(owner, Action::EXECUTION_CANCEL, &origin, self.clock.now())
                .on("execution", &id)
                .with("function_id", execution.function_id.to_string());
            if self.in_hand.has(owner, id) {
                // Before it is told: what ends a run in hand is no transaction.
                if !is_recorded {
                    self.record(event).await?;
                    is_recorded = true;
                }
                self.in_hand.call_off(owner, id);
            } else if let Some(execution) =
                self.call_off_waiting(execution, (!is_recorded).then_some(event)).await?
            {
                return Ok(execution);
            }
            // Neither in hand nor waiting: it is on its way from the one to the other.
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Ends when every attempt in hand has been written, or after 5 s. To be called when instances are gone.
    pub(crate) async fn stop(&self) {
        self.tasks.close();
        if tokio::time::timeout(STOP_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("runs that nobody waits for are left to the next start");
        }
    }

    async fn find(&self, owner: UserId, id: ExecutionId) -> Result<Execution, FunctionError> {
        self.records.find(owner, id).await?.ok_or(FunctionError::ExecutionNotFound)
    }

    async fn enqueue(&self, run: AsyncRun, event: Option<Event>) -> Result<InvokeAccepted, FunctionError> {
        let (execution_id, most, now) = (run.execution.id, self.config.backlog, self.clock.now());
        self.db
            .transaction("async_run.insert", move |connection| {
                let (owner, function_id) = (run.execution.owner, run.execution.function_id);
                if store::executions::share_functions(connection, [function_id])?.is_empty() {
                    return Err(FunctionError::NotFound);
                }
                if store::async_runs::count_of_owner(connection, owner)? >= most {
                    return Err(FunctionError::BacklogFull(most));
                }
                if let Some(event) = event {
                    slipway_audit::record(connection, event)?;
                }
                Ok(store::async_runs::insert(connection, &run, now)?)
            })
            .await?;
        self.arrived.notify_one();
        Ok(InvokeAccepted { execution_id })
    }

    /// Ends a run that waits in the queue; nothing where it does not wait there.
    async fn call_off_waiting(
        &self,
        execution: Execution,
        event: Option<Event>,
    ) -> Result<Option<Execution>, FunctionError> {
        let now = self.clock.now();
        self.db
            .transaction("async_run.call_off", move |connection| {
                let (owner, id) = (execution.owner, execution.id);
                // Before the run: who deletes the function locks them in that order.
                store::executions::share_functions(connection, [execution.function_id])?;
                if !store::async_runs::lock_waiting(connection, owner, id)? {
                    return Ok(None);
                }
                let found = store::executions::find(connection, owner, id)?;
                let mut execution = found.ok_or(FunctionError::ExecutionNotFound)?;
                execution.fail(ExecutionStatus::Cancelled, called_off(), now);
                if let Some(event) = event {
                    slipway_audit::record(connection, event)?;
                }
                end(connection, &execution)?;
                Ok(Some(execution))
            })
            .await
    }

    async fn record(&self, event: Event) -> Result<(), FunctionError> {
        self.db
            .run("execution.record_cancel", move |connection| Ok(slipway_audit::record(connection, event)?))
            .await
    }

    pub(super) fn counts(&self) -> MutexGuard<'_, Underway> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes how a run ended, and counts it once in the statistics. A deleted function takes its runs along.
pub(super) fn end(connection: &mut PgConnection, execution: &Execution) -> Result<(), DbError> {
    let is_there = !store::executions::share_functions(connection, [execution.function_id])?.is_empty();
    if is_there && store::async_runs::end(connection, execution)? {
        store::rollups::add(connection, roll_up(std::iter::once(execution)))?;
    }
    Ok(())
}
