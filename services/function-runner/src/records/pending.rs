use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use slipway_kernel::{ExecutionId, FunctionId, UserId};
use tokio::sync::Notify;

use crate::domain::stats::Sample;
use crate::domain::{Execution, LogFilter, LogLine};
use crate::spool::{Record, SpooledRecord};

/// What is on record and not in PostgreSQL yet, and the runs that are under way.
#[derive(Default)]
pub(super) struct Pending {
    state: Mutex<State>,
    pub(super) arrived: Notify,
}

#[derive(Default)]
struct State {
    /// In the order of their writing.
    queue: VecDeque<SpooledRecord>,
    runs: HashMap<ExecutionId, Run>,
    bytes: usize,
}

/// A run of which something is in the queue, or which has not ended.
struct Run {
    execution: Execution,
    queued: usize,
}

impl Pending {
    pub(super) fn push(&self, spooled: SpooledRecord) {
        let mut state = self.lock();
        state.bytes += spooled.size;
        let known = state.runs.get_mut(&spooled.record.execution_id());
        match (&*spooled.record, known) {
            (Record::Ended { execution, .. }, Some(run)) => {
                run.execution = execution.clone();
                run.queued += 1;
            }
            (_, Some(run)) => run.queued += 1,
            (Record::Began { execution } | Record::Ended { execution, .. }, None) => {
                state.runs.insert(execution.id, Run { execution: execution.clone(), queued: 1 });
            }
            (Record::Printed { .. }, None) => {}
        }
        state.queue.push_back(spooled);
        drop(state);
        self.arrived.notify_one();
    }

    /// Returns the oldest records, as many as fit, but at least one where there is one.
    pub(super) fn oldest(&self, records: usize, bytes: usize) -> Vec<SpooledRecord> {
        let mut size = 0;
        let fits = |spooled: &&SpooledRecord| {
            let first = size == 0;
            size += spooled.size;
            first || size <= bytes
        };
        self.lock().queue.iter().take(records).take_while(fits).cloned().collect()
    }

    /// Forgets the oldest `records` records: PostgreSQL has them.
    pub(super) fn settle(&self, records: usize) {
        let mut state = self.lock();
        let state = &mut *state;
        for spooled in state.queue.drain(..records) {
            state.bytes -= spooled.size;
            let id = spooled.record.execution_id();
            if let Some(run) = state.runs.get_mut(&id) {
                run.queued = run.queued.saturating_sub(1);
                if run.queued == 0 && run.execution.is_finished() {
                    state.runs.remove(&id);
                }
            }
        }
    }

    /// Shows how a run stands while nothing of that is on disk.
    pub(super) fn show(&self, execution: &Execution) {
        if let Some(run) = self.lock().runs.get_mut(&execution.id) {
            run.execution = execution.clone();
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    pub(super) fn unended(&self) -> Vec<Execution> {
        let state = self.lock();
        let unended = state.runs.values().filter(|run| !run.execution.is_finished());
        unended.map(|run| run.execution.clone()).collect()
    }

    pub(super) fn find(&self, owner: UserId, id: ExecutionId) -> Option<Execution> {
        let state = self.lock();
        state.runs.get(&id).map(|run| &run.execution).filter(|execution| execution.owner == owner).cloned()
    }

    pub(super) fn executions(
        &self,
        owner: UserId,
        function_id: FunctionId,
    ) -> BTreeMap<ExecutionId, Execution> {
        let state = self.lock();
        let executions = state.runs.values().map(|run| &run.execution);
        executions
            .filter(|execution| execution.owner == owner && execution.function_id == function_id)
            .map(|execution| (execution.id, execution.clone()))
            .collect()
    }

    /// Returns what statistics take from the runs of an owner's function that have ended.
    pub(super) fn samples(&self, owner: UserId, function_id: FunctionId) -> Vec<Sample> {
        let state = self.lock();
        let executions = state.runs.values().map(|run| &run.execution);
        executions
            .filter(|execution| execution.owner == owner && execution.function_id == function_id)
            .filter_map(Sample::of)
            .collect()
    }

    pub(super) fn lines(&self, owner: UserId, filter: &LogFilter) -> Vec<LogLine> {
        let state = self.lock();
        let records = state.queue.iter().map(|spooled| &spooled.record);
        records
            .filter(|record| record.owner() == owner && record.function_id() == filter.function_id)
            .flat_map(|record| record.lines())
            .filter(|line| filter.admits(line))
            .cloned()
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
