//! What takes runs from the queue and tries them until they succeed or are given up.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use slipway_db::{DbError, PgConnection};
use slipway_kernel::{FunctionId, UserId};
use slipway_models::functions::{ExecutionError, ExecutionStatus, LogStream};
use tracing::Instrument as _;

use super::AsyncRuns;
use super::async_runs::end;
use super::failure::platform_error;
use super::invocations::Attempt;
use super::underway::RunUnderway;
use crate::domain::{AsyncRun, Execution, LogLine};
use crate::invoke::{Call, Log};
use crate::store;

/// How long to wait for a database that is away.
const RETRY: Duration = Duration::from_secs(1);
/// How often the queue is looked at where nothing is known to be due.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// About how long a run waits that found no instance.
const WHEN_BUSY: Duration = Duration::from_secs(1);

/// What becomes of a run after an attempt.
enum Next {
    End(Execution),
    Wait(Execution, Duration),
}

/// The place of a run among those that go on, until it is dropped.
struct Place {
    in_hand: RunUnderway,
    runs: Arc<AsyncRuns>,
    owner: UserId,
    function_id: FunctionId,
}

impl AsyncRuns {
    /// Puts back what the process before had taken, then carries out what is due until the service stops.
    pub(crate) async fn carry_out_what_is_due(self: Arc<Self>) {
        let work = async {
            while let Err(fault) = self.recover().await {
                tracing::warn!(error = %fault, "cannot put back runs from before the restart: trying again");
                tokio::time::sleep(RETRY).await;
            }
            loop {
                let pause = self.begin_due().await.unwrap_or_else(|fault| {
                    tracing::warn!(error = %fault, "the queue of runs cannot be read");
                    RETRY
                });
                tokio::select! { () = self.arrived.notified() => (), () = tokio::time::sleep(pause) => () }
            }
        };
        self.stopping.run_until_cancelled(work).await;
    }

    /// An attempt that a killed process had begun counts: a run that brings the runner down is given up too.
    async fn recover(&self) -> Result<(), DbError> {
        let now = self.clock.now();
        let taken = self.db.run("async_run.list_taken", store::async_runs::list_taken).await?;
        for mut execution in taken {
            let next = if execution.status == ExecutionStatus::Running {
                let error =
                    platform_error("runner_restarted", "the function runner was restarted while this ran");
                execution.fail(ExecutionStatus::Failed, error, now);
                self.after(execution).await
            } else {
                Next::Wait(execution, Duration::ZERO)
            };
            self.write(&next).await?;
        }
        Ok(())
    }

    /// Takes what is due and fits, and has it carried out; returns when to look again.
    async fn begin_due(self: &Arc<Self>) -> Result<Duration, DbError> {
        let (underway, limits, now) = (self.counts().clone(), self.config.limits, self.clock.now());
        if !underway.has_room(limits) {
            return Ok(LOOK_EVERY);
        }
        let (taken, next) = self
            .db
            .transaction("async_run.take", move |connection| {
                let due = store::async_runs::list_due(connection, now)?;
                let mut taken = Vec::new();
                for function_id in underway.choose(due, limits) {
                    taken.extend(store::async_runs::take(connection, function_id, now)?);
                }
                Ok::<_, DbError>((taken, store::async_runs::next_due(connection, now)?))
            })
            .await?;
        for run in taken {
            let place = Place::take(self, &run.execution);
            let span = tracing::info_span!("async_run", execution.id = %run.execution.id);
            self.tasks.spawn(Arc::clone(self).carry_out(run, place).instrument(span));
        }
        Ok(next.and_then(|due| (due - now).to_std().ok()).map_or(LOOK_EVERY, |pause| pause.min(LOOK_EVERY)))
    }

    async fn carry_out(self: Arc<Self>, run: AsyncRun, place: Place) {
        let next = self.try_once(run, &place.in_hand).await;
        while let Err(fault) = self.write(&next).await {
            if !fault.is_transient() {
                tracing::error!(error = %fault, "how a run stands cannot be written: the next start takes it up");
                return;
            }
            tracing::warn!(error = %fault, "how a run stands waits for the database");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_once(&self, run: AsyncRun, in_hand: &RunUnderway) -> Next {
        let AsyncRun { mut execution, input } = run;
        if self.clock.now() - execution.queued_at > self.config.max_age {
            return self.give_up(execution, platform_error("expired", "it could not be done in time"));
        }
        let version = match self.functions.active_version(execution.owner, execution.function_id).await {
            Ok(version) => version,
            Err(fault) => {
                tracing::info!(error = %fault, "a run waits for its function");
                return Next::Wait(execution, RETRY);
            }
        };
        let call = match Call::from_input(input) {
            Ok(call) => call,
            Err(fault) => {
                return self.give_up(execution, platform_error("invalid_request", &fault.to_string()));
            }
        };
        if self.stopping.is_cancelled() {
            return Next::Wait(execution, Duration::ZERO);
        }
        let mut log = Log::new(execution.id, Arc::clone(&self.clock));
        let begun = async |begun: Execution| {
            let write =
                move |connection: &mut PgConnection| store::executions::update_open(connection, &begun);
            self.db.run("async_run.begin", write).await.map(drop)
        };
        let called_off = in_hand.called_off();
        let attempt =
            self.invocations.attempt(&version, &mut execution, &mut log, &call, called_off, begun).await;
        self.print(&execution, log.finish()).await;
        match attempt {
            Ok(Attempt::Ended) => self.after(execution).await,
            Ok(Attempt::BrokenOff) => {
                execution.wait_uncounted();
                Next::Wait(execution, Duration::ZERO)
            }
            // Spread, so that those who wait for the same instance do not come back together.
            Ok(Attempt::NotBegun) => Next::Wait(execution, WHEN_BUSY.mul_f64(0.5 + fastrand::f64())),
            Err(fault) => {
                tracing::warn!(error = %fault, "that a run begins cannot be written");
                execution.wait_uncounted();
                Next::Wait(execution, RETRY)
            }
        }
    }

    /// Decides what becomes of a run after an attempt that counts, and notes in its log why it is tried again or not.
    async fn after(&self, mut execution: Execution) -> Next {
        let (attempt, retry) = (execution.attempt, self.config.retry);
        if !matches!(execution.status, ExecutionStatus::Failed | ExecutionStatus::TimedOut) {
            return Next::End(execution);
        }
        let cause = execution.error.as_ref().map(|error| format!("{}: {}", error.kind, error.message));
        let failed = format!("attempt {attempt} of {} failed: {}", retry.attempts, cause.unwrap_or_default());
        let (next, note) = if retry.goes_on_after(attempt) {
            let pause = retry.pause(attempt, fastrand::f64());
            execution.wait_again();
            (
                Next::Wait(execution.clone(), pause),
                format!("{failed}; the next begins in {} ms", pause.as_millis()),
            )
        } else {
            execution.dead_letter = true;
            (Next::End(execution.clone()), format!("{failed}; it is not tried again"))
        };
        let line = LogLine::received(execution.id, self.clock.now(), LogStream::System, &note);
        self.print(&execution, vec![line]).await;
        next
    }

    fn give_up(&self, mut execution: Execution, error: ExecutionError) -> Next {
        execution.fail(ExecutionStatus::Failed, error, self.clock.now());
        execution.dead_letter = true;
        Next::End(execution)
    }

    async fn print(&self, execution: &Execution, lines: Vec<LogLine>) {
        if lines.is_empty() {
            return;
        }
        if let Err(fault) = self.records.printed(execution, || lines).await {
            tracing::warn!(error = %fault, "log lines are lost");
        }
    }

    async fn write(&self, next: &Next) -> Result<(), DbError> {
        match next {
            Next::End(execution) => {
                let execution = execution.clone();
                self.db.transaction("async_run.end", move |connection| end(connection, &execution)).await
            }
            Next::Wait(execution, pause) => {
                let due = self.clock.now() + TimeDelta::from_std(*pause).unwrap_or(TimeDelta::MAX);
                let execution = execution.clone();
                self.db
                    .transaction("async_run.put_back", move |connection| {
                        store::async_runs::put_back(connection, &execution, due)
                    })
                    .await
            }
        }
    }
}

impl Place {
    fn take(runs: &Arc<AsyncRuns>, execution: &Execution) -> Self {
        let (owner, function_id) = (execution.owner, execution.function_id);
        runs.counts().add(owner, function_id);
        let in_hand = runs.in_hand.enter(owner, execution.id);
        Self { in_hand, runs: Arc::clone(runs), owner, function_id }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.runs.counts().remove(self.owner, self.function_id);
        self.runs.arrived.notify_one();
    }
}
