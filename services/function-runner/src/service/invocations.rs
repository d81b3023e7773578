use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_kernel::SharedClock;
use slipway_models::functions::{ExecutionError, InvokeAnswer};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::failure::{Failure, InvokeError};
use super::underway::RunsUnderway;
use crate::domain::{Execution, SignedBy, Trigger, Version};
use crate::instances::{Busy, Claim, Instances, Lease, NoInstance, StartFailure};
use crate::invoke::{Answer, AnswerFault, Call, Log, Piece, Relay, receive};
use crate::records::Records;

/// What came of an attempt at a run that nobody waits for.
pub(crate) enum Attempt {
    /// There was no instance for it: it has not begun.
    NotBegun,
    /// The runner stopped under it.
    BrokenOff,
    /// It has ended, as its record says.
    Ended,
}

/// Parts of an answer that wait for a slow reader: with them, what that costs in memory is bounded.
const PIECES_AHEAD: usize = 2;

/// An answer that is given on as it comes.
pub(crate) struct Relayed {
    /// They end with the run. Where that failed, none came, or the answer is not whole.
    pub(crate) pieces: Receiver<Piece>,
    /// How the run ended.
    pub(crate) run: JoinHandle<Result<(), InvokeError>>,
}

/// What a handler is sent, and where its answer goes as it comes; kept whole where that is nowhere.
#[derive(Clone, Copy)]
struct Exchange<'a> {
    call: &'a Call,
    relay: Option<&'a Relay>,
}

/// A run that is on record.
struct Begun {
    execution: Execution,
    claim: Claim,
    deadline: Instant,
}

/// Calls of functions.
pub(crate) struct Invocations {
    instances: Instances,
    records: Arc<Records>,
    underway: Arc<RunsUnderway>,
    clock: SharedClock,
    /// Where a run whose answer is given on goes on: beside the connections to instances.
    tasks: Handle,
}

impl Invocations {
    /// Runs whose answer is given on will be carried out on the current Tokio runtime.
    pub(crate) fn new(
        instances: Instances,
        records: Arc<Records>,
        underway: Arc<RunsUnderway>,
        clock: SharedClock,
    ) -> Self {
        Self { instances, records, underway, clock, tasks: Handle::current() }
    }

    /// Calls a function and waits for its end. The run is on record before it begins and before this returns.
    ///
    /// One deadline holds for all of it: the wait for an instance, its start, and the handler. A warm call touches
    /// neither the container runtime nor the database.
    pub(crate) async fn invoke(
        &self,
        version: &Arc<Version>,
        call: &Call,
    ) -> Result<InvokeAnswer, InvokeError> {
        let begun = self.admit(version, Trigger::Invoke, None).await?;
        self.carry_out(begun, call, None).await
    }

    /// Calls a function whose answer is given on as it comes. The run is on record before it begins, and before the
    /// pieces end; it goes on when nobody takes them any more. The record says what signature let the call in.
    pub(crate) async fn relay(
        self: Arc<Self>,
        version: &Arc<Version>,
        call: Call,
        signed_by: Option<SignedBy>,
    ) -> Result<Relayed, InvokeError> {
        let begun = self.admit(version, Trigger::Http, signed_by).await?;
        let (sender, pieces) = channel(PIECES_AHEAD);
        let tasks = self.tasks.clone();
        let run = async move { self.carry_out(begun, &call, Some(&Relay(sender))).await.map(drop) };
        Ok(Relayed { pieces, run: tasks.spawn(run.in_current_span()) })
    }

    /// Gets a place in the queue for an instance, and puts the run on record.
    async fn admit(
        &self,
        version: &Arc<Version>,
        trigger: Trigger,
        signed_by: Option<SignedBy>,
    ) -> Result<Begun, InvokeError> {
        let deadline = Instant::now() + Duration::from_millis(version.config.timeout_ms.into());
        let claim = self.instances.request(version)?;
        let mut execution = Execution::queued(version, trigger, self.clock.now());
        execution.signed_by = signed_by;
        if let Err(cause) = self.records.began(execution.clone()).await {
            claim.give_up();
            return Err(cause.into());
        }
        Ok(Begun { execution, claim, deadline })
    }

    async fn carry_out(
        &self,
        begun: Begun,
        call: &Call,
        relay: Option<&Relay>,
    ) -> Result<InvokeAnswer, InvokeError> {
        let Begun { mut execution, claim, deadline } = begun;
        let run = self.underway.enter(execution.owner, execution.id);
        let mut log = Log::new(execution.id, Arc::clone(&self.clock));
        let exchange = Exchange { call, relay };
        let outcome = self.run(&mut execution, &mut log, claim, exchange, deadline, run.called_off()).await;

        let id = execution.id;
        let (ended, answer) = self.conclude(execution, outcome);
        self.records
            .ended(ended, log.finish())
            .await
            .map_err(|cause| InvokeError::EndNotRecorded { id, cause })?;
        answer
    }

    /// Runs the call on an instance, which takes further calls only after one that ended well.
    async fn run(
        &self,
        execution: &mut Execution,
        log: &mut Log,
        claim: Claim,
        exchange: Exchange<'_>,
        deadline: Instant,
        called_off: &CancellationToken,
    ) -> Result<Answer, Failure> {
        let lease = tokio::select! {
            lease = claim.redeem(deadline) => lease?,
            () = called_off.cancelled() => return Err(Failure::CalledOff),
        };
        self.begin(execution, &lease);
        self.records.running(execution);
        self.run_on(lease, execution, log, exchange, deadline, called_off).await
    }

    /// Tries a run that nobody waits for. It waits for an instance as long as a call might; its deadline then holds
    /// from its beginning, which `begun` writes: where that fails it has not begun.
    pub(crate) async fn attempt<E>(
        &self,
        version: &Arc<Version>,
        execution: &mut Execution,
        log: &mut Log,
        call: &Call,
        called_off: &CancellationToken,
        begun: impl AsyncFnOnce(Execution) -> Result<(), E>,
    ) -> Result<Attempt, E> {
        let timeout = Duration::from_millis(version.config.timeout_ms.into());
        let outcome = match self.instance_for(version, Instant::now() + timeout, called_off).await {
            Ok(lease) => {
                self.begin(execution, &lease);
                if let Err(fault) = begun(execution.clone()).await {
                    lease.give_back();
                    return Err(fault);
                }
                self.run_on(
                    lease,
                    execution,
                    log,
                    Exchange { call, relay: None },
                    Instant::now() + timeout,
                    called_off,
                )
                .await
            }
            Err(None) => return Ok(Attempt::NotBegun),
            Err(Some(failure)) => {
                execution.attempt += i32::from(!matches!(failure, Failure::CalledOff | Failure::Cancelled));
                Err(failure)
            }
        };
        if matches!(outcome, Err(Failure::Stopped)) {
            return Ok(Attempt::BrokenOff);
        }
        (*execution, _) = self.conclude(execution.clone(), outcome);
        Ok(Attempt::Ended)
    }

    /// Waits for an instance; no failure at all where it is only that none was free.
    async fn instance_for(
        &self,
        version: &Arc<Version>,
        deadline: Instant,
        called_off: &CancellationToken,
    ) -> Result<Lease, Option<Failure>> {
        let claim = match self.instances.request(version) {
            Ok(claim) => claim,
            Err(busy @ (Busy::TooLarge { .. } | Busy::TooLargeForOwner { .. })) => {
                return Err(Some(Failure::Unavailable(busy.to_string())));
            }
            Err(_) => return Err(None),
        };
        let redeemed = tokio::select! {
            redeemed = claim.redeem(deadline) => redeemed,
            () = called_off.cancelled() => return Err(Some(Failure::CalledOff)),
        };
        redeemed.map_err(|reason| match reason {
            NoInstance::TimedOut(_) | NoInstance::Failed(StartFailure::Stopping) => None,
            reason @ NoInstance::Failed(_) => Some(reason.into()),
        })
    }

    fn begin(&self, execution: &mut Execution, lease: &Lease) {
        let cold_start_ms = lease.cold_start.map(|span| span.as_secs_f64() * 1_000.0);
        execution.begin(lease.version_number(), self.clock.now(), cold_start_ms);
    }

    async fn run_on(
        &self,
        mut lease: Lease,
        execution: &mut Execution,
        log: &mut Log,
        exchange: Exchange<'_>,
        deadline: Instant,
        called_off: &CancellationToken,
    ) -> Result<Answer, Failure> {
        for line in lease.take_load_lines() {
            log.keep(&line);
        }
        let (ended, stopped) = (lease.ended(), lease.stopped());
        let outcome = tokio::select! {
            outcome = self.converse(&mut lease, execution, log, exchange, deadline) => outcome,
            () = tokio::time::sleep_until(deadline.into()) => return Err(Failure::timed_out("the handler did not answer")),
            () = called_off.cancelled() => return Err(Failure::CalledOff),
            () = stopped.cancelled() => return Err(Failure::stopped_beside_another()),
            () = ended.cancelled() => {
                return Err(if lease.is_runner_stopping() { Failure::Stopped } else { Failure::Cancelled });
            }
        };
        match outcome {
            Ok(answer) => {
                execution.used(answer.usage.peak_memory_bytes, answer.usage.cpu_ms);
                lease.give_back();
                Ok(answer)
            }
            Err(AnswerFault::Handler { error, usage, is_reusable }) => {
                execution.used(usage.peak_memory_bytes, usage.cpu_ms);
                if is_reusable {
                    lease.give_back();
                    return Err(Failure::Handler(error));
                }
                // Its worker ended: by itself, or because the kernel took it.
                Err(Failure::Handler(lease.out_of_memory().await.unwrap_or(error)))
            }
            Err(AnswerFault::Unusable(error)) => Err(Failure::Handler(error)),
            Err(AnswerFault::Instance(_)) if stopped.is_cancelled() => Err(Failure::stopped_beside_another()),
            Err(AnswerFault::Instance(cause)) => Err(Failure::Handler(lease.explain(&cause).await)),
        }
    }

    async fn converse(
        &self,
        lease: &mut Lease,
        execution: &Execution,
        log: &mut Log,
        exchange: Exchange<'_>,
        deadline: Instant,
    ) -> Result<Answer, AnswerFault> {
        let head = exchange.call.head(execution.id, deadline).map_err(|fault| {
            let message = fault.to_string();
            AnswerFault::Unusable(ExecutionError { kind: "invalid_request".to_owned(), message, trace: None })
        })?;
        let frames = lease.invoke(&head, &exchange.call.body).await.map_err(AnswerFault::Instance)?;
        receive(frames, execution, log, &self.records, exchange.relay).await
    }

    /// Writes the outcome into the record, and makes the caller's answer of it.
    fn conclude(
        &self,
        mut execution: Execution,
        outcome: Result<Answer, Failure>,
    ) -> (Execution, Result<InvokeAnswer, InvokeError>) {
        let (id, now) = (execution.id, self.clock.now());
        let mut answer = match outcome {
            Ok(answer) => answer,
            Err(failure) => {
                let (status, error, told) = failure.describe(id);
                execution.fail(status, error, now);
                return (execution, Err(told));
            }
        };
        let size = answer.size;
        let result = answer.result();
        execution.succeed(answer.status_code, result.clone(), size, now);
        let answer = InvokeAnswer {
            success: true,
            execution_id: id,
            result,
            status_code: answer.status_code,
            headers: answer.headers,
            duration_ms: execution.duration_ms.unwrap_or_default(),
            queue_ms: execution.queue_ms.unwrap_or_default(),
            cold_start: execution.cold_start_ms.is_some(),
        };
        (execution, Ok(answer))
    }
}
