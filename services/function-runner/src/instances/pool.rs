//! Who gets which instance, and which go: the rules alone, without containers or clocks. [`super::room`] has those on
//! what is started and what makes room for it, [`super::activation`] those on versions.
//!
//! An instance has a slot for each call that it may carry out at a time, and what is lent is a slot. The last used ready
//! instance is taken first, so that the others become idle and go. A call that finds none waits in its function's queue
//! while one starts. A warm call and its end take the same time however many functions, instances
//! and callers there are, unless a caller waits for want of room.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_kernel::{DeploymentId, FunctionId, InstanceId, UserId};
use tokio::sync::oneshot;

use super::ledger::{Ledger, Room, Seat};
use super::member::Member;
use super::queues::{Queues, Waiting};
use super::upkeep::Upkeep;
use super::{Busy, StartFailure};
use crate::domain::Version;

/// What there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of all functions together.
    pub(super) host: Room,
    /// Of an owner's functions together.
    pub(super) owner: Room,
    /// How many calls may wait.
    pub(super) waiting: Waiting,
}

/// What has to be done after a change.
#[derive(Debug)]
pub(super) enum Action<T> {
    /// Start an instance; its seat is taken.
    Start(Arc<Version>, Seat),
    /// Remove an instance; its seat is marked already.
    Retire(T),
}

/// A slot on its way to a caller; `started` when its instance was started for callers who wait.
pub(super) struct Granted<S> {
    pub(super) slot: S,
    pub(super) started: bool,
}

/// What a waiting caller is told.
pub(super) type Grant<S> = Result<Granted<S>, StartFailure>;

/// A caller's place in a function's queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) function_id: FunctionId,
    pub(super) number: u64,
}

/// What a caller gets at once.
pub(super) enum Acquired<S> {
    Ready(S),
    Waits(Place, oneshot::Receiver<Grant<S>>),
    Refused(Busy),
}

pub(super) struct Pools<T: Member> {
    pub(super) limits: Limits,
    pub(super) ledger: Ledger,
    pub(super) functions: HashMap<FunctionId, Pool<T>>,
    /// The instances that take no further call until one of theirs has ended: all their slots are lent, or another
    /// version answers by now.
    pub(super) lent: HashMap<InstanceId, T>,
    pub(super) queues: Queues,
    /// Checked instances of versions that are not active yet.
    pub(super) checked: HashMap<DeploymentId, Idle<T>>,
    /// The functions that may want an instance started: all those that do, and some that did.
    pub(super) wanting: HashSet<FunctionId>,
    /// True while a caller waits for want of room.
    pub(super) crowded: bool,
    /// True once nothing may start any more.
    pub(super) closed: bool,
    pub(super) next_number: u64,
}

pub(super) struct Pool<T: Member> {
    pub(super) version: Arc<Version>,
    /// Those with a slot to lend, the last used last.
    pub(super) ready: Vec<Idle<T>>,
    /// By number.
    pub(super) waiting: VecDeque<Waiter<T::Slot>>,
    pub(super) starting: usize,
    /// When an instance was last lent.
    pub(super) served: Option<Instant>,
    pub(super) upkeep: Upkeep,
}

pub(super) struct Idle<T> {
    pub(super) member: T,
    /// When its last call ended.
    pub(super) since: Instant,
}

pub(super) struct Waiter<S> {
    pub(super) number: u64,
    pub(super) grant: oneshot::Sender<Grant<S>>,
}

impl<T: Member> Pools<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            ledger: Ledger::default(),
            functions: HashMap::new(),
            lent: HashMap::new(),
            queues: Queues::default(),
            checked: HashMap::new(),
            wanting: HashSet::new(),
            crowded: false,
            closed: false,
            next_number: 0,
        }
    }

    /// Takes a slot of an instance of the function's active version, or a place in its queue.
    pub(super) fn acquire(
        &mut self,
        version: &Arc<Version>,
        now: Instant,
    ) -> (Acquired<T::Slot>, Vec<Action<T>>) {
        let mut actions = Vec::new();
        let known = self.functions.get(&version.function_id).map(|pool| pool.version.revision);
        if known.is_none_or(|known| known.is_before(version.revision)) {
            actions = self.activate(version, now);
        }
        let Some(pool) = self.functions.get_mut(&version.function_id) else {
            // Only once closed: the caller, who is in no queue, is told so.
            let (place, granted) = self.enqueue(version);
            return (Acquired::Waits(place, granted), actions);
        };
        if self.ledger.deployment(pool.version.deployment_id).staying() > pool.ready.len() + pool.starting
            || !pool.waiting.is_empty()
        {
            pool.upkeep.overlapped(now);
        }
        while let Some(mut idle) = pool.ready.pop() {
            if idle.member.is_open()
                && let Some(slot) = idle.member.lend()
            {
                pool.served = Some(now);
                if idle.member.is_full() {
                    self.lent.insert(idle.member.id(), idle.member);
                } else {
                    pool.ready.push(idle);
                }
                if pool.ready.is_empty() && pool.upkeep.is_shared(now) {
                    self.wanting.insert(version.function_id);
                    self.start_wanted(now, &mut actions);
                }
                return (Acquired::Ready(slot), actions);
            }
            pool.upkeep.died(now);
            retire(&mut self.ledger, idle.member, &mut actions);
        }
        if let Err(busy) = self.may_wait(version) {
            return (Acquired::Refused(busy), actions);
        }
        let (place, granted) = self.enqueue(version);
        self.start_wanted(now, &mut actions);
        (Acquired::Waits(place, granted), actions)
    }

    /// Takes back a slot whose instance can carry out another call. It comes back where the instance was given up
    /// meanwhile.
    pub(super) fn release(
        &mut self,
        id: InstanceId,
        function_id: FunctionId,
        slot: T::Slot,
        now: Instant,
    ) -> Result<Vec<Action<T>>, T::Slot> {
        let mut actions = Vec::new();
        let Some(mut member) = self.take_out(id, function_id) else { return Err(slot) };
        member.take_back(slot);
        if let Some(pool) = self.functions.get_mut(&function_id) {
            if member.is_open() {
                pool.upkeep.served();
            } else {
                pool.upkeep.died(now);
                self.wanting.insert(function_id);
            }
        }
        self.offer(member, false, now, &mut actions);
        if self.crowded {
            self.start_wanted(now, &mut actions);
        }
        Ok(actions)
    }

    /// Takes in an instance that was started on an [`Action::Start`].
    pub(super) fn started(&mut self, member: T, now: Instant) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        if let Some(pool) = self.functions.get_mut(&member.version().function_id) {
            if is_same(&pool.version, member.version()) {
                pool.starting = pool.starting.saturating_sub(1);
            }
            self.wanting.insert(member.version().function_id);
        }
        self.offer(member, true, now, &mut actions);
        self.start_wanted(now, &mut actions);
        actions
    }

    /// Notes that an [`Action::Start`] failed: the caller who waits longest is told, unless another version answers by
    /// now. The seat stays taken until [`Pools::free`].
    pub(super) fn start_failed(
        &mut self,
        version: &Version,
        failure: StartFailure,
        now: Instant,
    ) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        if let Some(pool) = self.functions.get_mut(&version.function_id) {
            let is_active = *pool.version == *version;
            if is_active {
                pool.starting = pool.starting.saturating_sub(1);
                pool.upkeep.died(now);
            }
            let mut failure = is_active.then_some(failure);
            while let Some(told) = failure.take()
                && let Some(waiter) = pool.waiting.pop_front()
            {
                self.queues.leave(version.owner);
                failure = waiter.grant.send(Err(told)).err().and_then(Result::err);
            }
            self.wanting.insert(version.function_id);
        }
        self.start_wanted(now, &mut actions);
        actions
    }

    /// Gives up the instances that are closed, and those that have been idle for `idle_for` or longer, but for the
    /// `min_instances`; starts what these lack.
    pub(super) fn maintain(&mut self, idle_for: Duration, now: Instant) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        let is_unused = |idle: &Idle<T>| now.saturating_duration_since(idle.since) >= idle_for;
        for (id, pool) in &mut self.functions {
            let staying = self.ledger.deployment(pool.version.deployment_id).staying();
            let mut surplus = staying.saturating_sub(pool.starting + pool.least());
            for idle in pool.ready.extract_if(.., |idle| {
                let unused = idle.member.is_idle() && is_unused(idle);
                let goes = !idle.member.is_open() || (surplus > 0 && unused);
                surplus = surplus.saturating_sub(goes.into());
                goes
            }) {
                if !idle.member.is_open() {
                    pool.upkeep.died(now);
                }
                retire(&mut self.ledger, idle.member, &mut actions);
            }
            self.wanting.insert(*id);
        }
        self.retire_checked(|checked| is_unused(checked) || !checked.member.is_open(), &mut actions);
        let ledger = &self.ledger;
        self.functions.retain(|id, pool| {
            pool.least() > 0
                || !pool.waiting.is_empty()
                || pool.starting > 0
                || ledger.function(*id).instances > 0
        });
        self.start_wanted(now, &mut actions);
        actions
    }

    /// Gives up an instance whose slot did not come back: what else it carries out ends with it.
    pub(super) fn lose(&mut self, id: InstanceId, function_id: FunctionId, now: Instant) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        let Some(member) = self.take_out(id, function_id) else { return actions };
        member.stop();
        retire(&mut self.ledger, member, &mut actions);
        if let Some(pool) = self.functions.get_mut(&function_id) {
            pool.upkeep.died(now);
            self.wanting.insert(function_id);
        }
        self.start_wanted(now, &mut actions);
        actions
    }

    /// Takes an instance out that has lent a slot.
    fn take_out(&mut self, id: InstanceId, function_id: FunctionId) -> Option<T> {
        self.lent.remove(&id).or_else(|| {
            let ready = &mut self.functions.get_mut(&function_id)?.ready;
            let place = ready.iter().rposition(|idle| idle.member.id() == id)?;
            Some(ready.remove(place).member)
        })
    }

    /// Marks the seat of an instance whose removal begins.
    pub(super) fn leave(&mut self, seat: Seat) {
        self.ledger.leave(seat);
    }

    /// Gives the seat of a removed instance, which was marked, to others.
    pub(super) fn free(&mut self, seat: Seat, now: Instant) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        self.ledger.free(seat);
        self.wanting.insert(seat.function_id);
        self.start_wanted(now, &mut actions);
        actions
    }

    /// Tells how many seats a function has, or all have.
    pub(super) fn seats(&self, function_id: Option<FunctionId>) -> usize {
        function_id.map_or_else(|| self.ledger.host(), |id| self.ledger.function(id)).instances
    }

    /// Tells how many more instances of so much memory the host has room for.
    pub(super) fn room_for(&self, memory_mb: u64) -> usize {
        self.ledger.host().room_for(memory_mb, self.limits.host)
    }

    pub(super) fn offer(&mut self, mut member: T, started: bool, now: Instant, actions: &mut Vec<Action<T>>) {
        let version = Arc::clone(member.version());
        // One that was just started serves a call first: else two owners could start instances in turn for nothing.
        let makes_room = !started && self.another_starves(&version);
        let current =
            self.functions.get_mut(&version.function_id).filter(|pool| is_same(&pool.version, &version));
        let Some(pool) = current.filter(|_| member.is_open() && !makes_room) else {
            self.let_go(member, actions);
            self.wanting.insert(version.function_id);
            return;
        };
        while !pool.waiting.is_empty()
            && let Some(slot) = member.lend()
            && let Some(waiter) = pool.waiting.pop_front()
        {
            self.queues.leave(version.owner);
            match waiter.grant.send(Ok(Granted { slot, started })) {
                Err(Ok(back)) => member.take_back(back.slot),
                Ok(()) | Err(Err(_)) => pool.served = Some(now),
            }
        }
        if member.is_full() {
            self.lent.insert(member.id(), member);
        } else {
            pool.ready.push(Idle { member, since: now });
        }
    }

    /// Gives up an instance once its calls have ended; at once where there are none, or where it is closed.
    pub(super) fn let_go(&mut self, member: T, actions: &mut Vec<Action<T>>) {
        if member.is_idle() || !member.is_open() {
            retire(&mut self.ledger, member, actions);
        } else {
            self.lent.insert(member.id(), member);
        }
    }
}

impl<T: Member> Pool<T> {
    pub(super) fn new(version: &Arc<Version>) -> Self {
        Self {
            version: Arc::clone(version),
            ready: Vec::new(),
            waiting: VecDeque::new(),
            starting: 0,
            served: None,
            upkeep: Upkeep::default(),
        }
    }

    /// Tells whether more callers wait than what starts will serve at once.
    pub(super) fn lacks_slots(&self) -> bool {
        self.waiting.len() > self.starting * self.version.concurrency() as usize
    }

    /// The most instances that the function may have.
    pub(super) fn most(&self) -> usize {
        self.version.config.max_instances as usize
    }

    /// The instances that are kept ready for it.
    pub(super) fn least(&self) -> usize {
        self.version.config.min_instances.min(self.version.config.max_instances) as usize
    }

    pub(super) fn owner(&self) -> UserId {
        self.version.owner
    }
}

pub(super) fn retire<T: Member>(ledger: &mut Ledger, member: T, actions: &mut Vec<Action<T>>) {
    ledger.leave(Seat::of(member.version()));
    actions.push(Action::Retire(member));
}

/// Tells whether two are the same version with the same configuration; most often they are one.
pub(super) fn is_same(one: &Arc<Version>, other: &Arc<Version>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}
