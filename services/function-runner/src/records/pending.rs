use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use slipway_kernel::{ExecutionId, FunctionId, LogLineId, UserId};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::domain::stats::Sample;
use crate::domain::{Execution, LogFilter, LogLine};
use crate::spool::{Record, SpooledRecord};

/// What is on record and not in PostgreSQL yet, and the runs that are under way.
#[derive(Default)]
pub(super) struct Pending {
    state: Mutex<State>,
    pub(super) arrived: Notify,
}

struct State {
    /// In the order of their writing.
    queue: VecDeque<SpooledRecord>,
    runs: HashMap<ExecutionId, Run>,
    bytes: usize,
    /// The last line of all.
    newest: Uuid,
    /// The last line that may be in PostgreSQL.
    stored_to: Uuid,
    watches: HashMap<FunctionId, watch::Sender<()>>,
}

/// Lines that came after another.
pub(super) struct News {
    /// Those that are known here.
    pub(super) lines: Vec<LogLine>,
    /// There is no other up to this line, of what is known here.
    pub(super) complete_to: Uuid,
    /// True where there is no later one.
    pub(super) is_all: bool,
    /// True where PostgreSQL may have some that are not known here.
    pub(super) others_are_stored: bool,
}

impl Default for State {
    fn default() -> Self {
        // An earlier process may have written whatever came before.
        let now = LogLineId::generate().as_uuid();
        Self {
            queue: VecDeque::new(),
            runs: HashMap::new(),
            bytes: 0,
            newest: now,
            stored_to: now,
            watches: HashMap::new(),
        }
    }
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
        if let Some(line) = spooled.record.lines().last() {
            state.newest = state.newest.max(line.id.as_uuid());
            if let Some(watch) = state.watches.get(&spooled.record.function_id()) {
                watch.send_replace(());
            }
        }
        state.queue.push_back(spooled);
        drop(state);
        self.arrived.notify_one();
    }

    /// Returns how many records wait for PostgreSQL.
    pub(super) fn len(&self) -> usize {
        self.lock().queue.len()
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
            if let Some(line) = spooled.record.lines().last() {
                state.stored_to = state.stored_to.max(line.id.as_uuid());
            }
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

    /// Returns the lines of an owner's function that are asked for and were recorded before the line `before`.
    pub(super) fn lines(&self, owner: UserId, filter: &LogFilter, before: Uuid) -> Vec<LogLine> {
        let state = self.lock();
        let records = state.queue.iter().map(|spooled| &spooled.record);
        records
            .filter(|record| record.owner() == owner && record.function_id() == filter.function_id)
            .flat_map(|record| record.lines())
            .filter(|line| line.id.as_uuid() < before && filter.admits(line))
            .cloned()
            .collect()
    }

    /// Returns what is known here of the lines of an owner's function that were recorded after the line `after`: the
    /// oldest `limit` of them.
    pub(super) fn lines_after(&self, owner: UserId, filter: &LogFilter, after: Uuid, limit: usize) -> News {
        let state = self.lock();
        let newer = |record: &&SpooledRecord| {
            record.record.lines().last().is_none_or(|line| line.id.as_uuid() > after)
        };
        let newer = state.queue.iter().rev().take_while(newer).count();
        let records = state.queue.range(state.queue.len() - newer..).map(|spooled| &spooled.record);
        let lines: Vec<_> = records
            .filter(|record| record.owner() == owner && record.function_id() == filter.function_id)
            .flat_map(|record| record.lines())
            .filter(|line| line.id.as_uuid() > after && filter.admits(line))
            .take(limit)
            .cloned()
            .collect();
        let last = lines.last().filter(|_| lines.len() == limit).map(|line| line.id.as_uuid());
        News {
            lines,
            complete_to: last.unwrap_or(state.newest.max(after)),
            is_all: last.is_none(),
            others_are_stored: after < state.stored_to,
        }
    }

    /// Returns what changes with each record of a function's lines, and is closed when the function is deleted.
    pub(super) fn watch(&self, function_id: FunctionId) -> watch::Receiver<()> {
        let mut state = self.lock();
        state.watches.retain(|_, watch| !watch.is_closed());
        state.watches.entry(function_id).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Ends the watches of a function.
    pub(super) fn end_watches(&self, function_id: FunctionId) {
        self.lock().watches.remove(&function_id);
    }

    /// Returns the id of the newest line that any run has printed.
    pub(super) fn newest_line(&self) -> Uuid {
        self.lock().newest
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
