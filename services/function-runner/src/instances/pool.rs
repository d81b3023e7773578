//! Who gets which instance, and when one is started or goes: the rules alone, without containers or clocks.
//!
//! The newest ready instance is taken first, so that the others become idle and go. A call that finds none waits in
//! its function's queue while one starts. No more instances start than fit on the host; where one does not fit, the
//! longest idle instance of any function makes room. Where none is idle, an instance that has ended its call makes
//! room for a function of another owner that has none, so that one owner's queue never starves another's.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use slipway_kernel::{DeploymentId, FunctionId, UserId};
use tokio::sync::oneshot;

use super::{Busy, StartFailure};
use crate::domain::Version;

/// What the pools hold: an instance, or a test's stand-in.
pub(super) trait Member {
    /// The version that it serves.
    fn version(&self) -> &Arc<Version>;
    /// Tells whether it can take another call.
    fn is_open(&self) -> bool;
}

/// What the host may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) instances: usize,
    pub(super) memory_mb: u64,
    /// How many calls of one function may wait.
    pub(super) waiting: usize,
}

/// An instance's place on the host, from before it is started until it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) owner: UserId,
    pub(super) function_id: FunctionId,
    deployment_id: DeploymentId,
    memory_mb: u64,
}

impl Seat {
    fn of(version: &Version) -> Self {
        Self {
            owner: version.owner,
            function_id: version.function_id,
            deployment_id: version.deployment_id,
            memory_mb: version.config.memory_mb.into(),
        }
    }
}

/// What has to be done after a change.
#[derive(Debug)]
pub(super) enum Action<T> {
    /// Start an instance; its seat is taken.
    Start(Arc<Version>, Seat),
    /// Remove an instance; its seat is marked already.
    Retire(T),
}

/// An instance on its way to a caller; `started` when it was started for callers who wait.
pub(super) struct Granted<T> {
    pub(super) member: T,
    pub(super) started: bool,
}

/// What a waiting caller is told.
pub(super) type Grant<T> = Result<Granted<T>, StartFailure>;

/// What a caller gets at once.
pub(super) enum Acquired<T> {
    Ready(T),
    Waits(oneshot::Receiver<Grant<T>>),
    Refused(Busy),
}

pub(super) struct Pools<T> {
    limits: Limits,
    functions: HashMap<FunctionId, Pool<T>>,
    /// Checked instances of versions that are not active yet.
    spares: HashMap<DeploymentId, Idle<T>>,
    seats: Vec<Seat>,
    /// Of the seats, those whose instance is being removed.
    leaving: Vec<Seat>,
    /// True while a caller waits for want of room.
    crowded: bool,
}

struct Pool<T> {
    version: Arc<Version>,
    /// Newest last.
    ready: Vec<Idle<T>>,
    waiting: VecDeque<Waiter<T>>,
    starting: usize,
    /// When an instance was last lent.
    served: Option<Instant>,
}

struct Idle<T> {
    member: T,
    since: Instant,
}

struct Waiter<T> {
    grant: oneshot::Sender<Grant<T>>,
    since: Instant,
}

impl<T: Member> Pools<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            functions: HashMap::new(),
            spares: HashMap::new(),
            seats: Vec::new(),
            leaving: Vec::new(),
            crowded: false,
        }
    }

    /// Takes an instance of the function's active version, or a place in its queue.
    pub(super) fn acquire(&mut self, version: &Arc<Version>, now: Instant) -> (Acquired<T>, Vec<Action<T>>) {
        let mut actions = Vec::new();
        let known = self.functions.get(&version.function_id).map(|pool| pool.version.revision);
        if known.is_none_or(|known| known.is_before(version.revision)) {
            actions = self.activate(version);
        }
        let Some(pool) = self.functions.get_mut(&version.function_id) else {
            return (Acquired::Refused(Busy::QueueFull), actions);
        };
        while let Some(idle) = pool.ready.pop() {
            if idle.member.is_open() {
                pool.served = Some(now);
                return (Acquired::Ready(idle.member), actions);
            }
            retire(&mut self.leaving, idle.member, &mut actions);
        }
        pool.waiting.retain(|waiter| !waiter.grant.is_closed());
        if u64::from(pool.version.config.memory_mb) > self.limits.memory_mb {
            return (Acquired::Refused(Busy::TooLarge { host_mb: self.limits.memory_mb }), actions);
        }
        if pool.waiting.len() >= self.limits.waiting {
            return (Acquired::Refused(Busy::QueueFull), actions);
        }
        let (grant, granted) = oneshot::channel();
        pool.waiting.push_back(Waiter { grant, since: now });
        self.start_wanted(&mut actions);
        (Acquired::Waits(granted), actions)
    }

    /// Takes back an instance that can serve another call.
    pub(super) fn release(&mut self, member: T, now: Instant) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        self.offer(member, false, now, &mut actions);
        if self.crowded {
            self.start_wanted(&mut actions);
        }
        actions
    }

    /// Takes in an instance that was started on an [`Action::Start`].
    pub(super) fn started(&mut self, member: T, now: Instant) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        if let Some(pool) = self.functions.get_mut(&member.version().function_id) {
            pool.starting = pool.starting.saturating_sub(1);
        }
        self.offer(member, true, now, &mut actions);
        self.start_wanted(&mut actions);
        actions
    }

    /// Notes that an [`Action::Start`] failed: the caller who waits longest is told. The seat stays taken until
    /// [`Pools::free`].
    pub(super) fn start_failed(&mut self, version: &Version, failure: StartFailure) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        if let Some(pool) = self.functions.get_mut(&version.function_id) {
            pool.starting = pool.starting.saturating_sub(1);
            let mut failure = Some(failure);
            while let Some(told) = failure.take()
                && let Some(waiter) = pool.waiting.pop_front()
            {
                failure = waiter.grant.send(Err(told)).err().and_then(Result::err);
            }
        }
        self.start_wanted(&mut actions);
        actions
    }

    /// Takes a seat for an instance of a version that is to be checked; `None` where there is no room yet.
    pub(super) fn seat_for_check(&mut self, version: &Version) -> (Option<Seat>, Vec<Action<T>>) {
        let mut actions = Vec::new();
        let seat = Seat::of(version);
        if self.make_room(seat, &mut actions) {
            self.seats.push(seat);
            return (Some(seat), actions);
        }
        (None, actions)
    }

    /// Keeps a checked instance until its version is active.
    pub(super) fn keep_spare(&mut self, member: T, now: Instant) -> Vec<Action<T>> {
        let deployment_id = member.version().deployment_id;
        let before = self.spares.insert(deployment_id, Idle { member, since: now });
        let mut actions = Vec::new();
        if let Some(idle) = before {
            retire(&mut self.leaving, idle.member, &mut actions);
        }
        actions
    }

    /// Makes `version` the one that calls of its function go to. Instances of another version, or with another
    /// configuration, go as soon as they are idle.
    pub(super) fn activate(&mut self, version: &Arc<Version>) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        let pool = self.functions.entry(version.function_id).or_insert_with(|| Pool {
            version: Arc::clone(version),
            ready: Vec::new(),
            waiting: VecDeque::new(),
            starting: 0,
            served: None,
        });
        pool.version = Arc::clone(version);
        let (kept, outdated): (Vec<_>, Vec<_>) =
            pool.ready.drain(..).partition(|idle| idle.member.version() == version);
        pool.ready = kept;
        for idle in outdated {
            retire(&mut self.leaving, idle.member, &mut actions);
        }
        if let Some(spare) = self.spares.remove(&version.deployment_id) {
            self.offer(spare.member, false, spare.since, &mut actions);
        }
        self.start_wanted(&mut actions);
        actions
    }

    /// Forgets a function. Callers who wait are told that it was removed; its busy instances are the caller's to end.
    pub(super) fn remove_function(&mut self, id: FunctionId) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        if let Some(pool) = self.functions.remove(&id) {
            for waiter in pool.waiting {
                let _ = waiter.grant.send(Err(StartFailure::Removed));
            }
            for idle in pool.ready {
                retire(&mut self.leaving, idle.member, &mut actions);
            }
        }
        self.retire_spares(|spare| spare.member.version().function_id == id, &mut actions);
        actions
    }

    /// Gives up the instances that have been idle since before `since`, and those that are closed.
    pub(super) fn expire(&mut self, since: Instant) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        for pool in self.functions.values_mut() {
            for idle in pool.ready.extract_if(.., |idle| idle.since < since || !idle.member.is_open()) {
                retire(&mut self.leaving, idle.member, &mut actions);
            }
        }
        self.retire_spares(|spare| spare.since < since || !spare.member.is_open(), &mut actions);
        let seats = &self.seats;
        self.functions.retain(|id, pool| {
            !pool.waiting.is_empty() || pool.starting > 0 || seats.iter().any(|seat| seat.function_id == *id)
        });
        actions
    }

    /// Marks the seat of an instance whose removal begins.
    pub(super) fn leave(&mut self, seat: Seat) {
        self.leaving.push(seat);
    }

    /// Gives the seat of a removed instance to others.
    pub(super) fn free(&mut self, seat: Seat) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        take(&mut self.seats, seat);
        take(&mut self.leaving, seat);
        self.start_wanted(&mut actions);
        actions
    }

    /// Gives up everything that is idle, and everyone who waits.
    pub(super) fn close(&mut self) -> Vec<Action<T>> {
        let functions: Vec<FunctionId> = self.functions.keys().copied().collect();
        let mut actions: Vec<_> = functions.into_iter().flat_map(|id| self.remove_function(id)).collect();
        self.retire_spares(|_| true, &mut actions);
        actions
    }

    /// Tells how many seats a function has, or all have.
    pub(super) fn seats(&self, function_id: Option<FunctionId>) -> usize {
        self.seats.iter().filter(|seat| function_id.is_none_or(|id| seat.function_id == id)).count()
    }

    /// Tells how many more instances of so much memory the host has room for.
    pub(super) fn room_for(&self, memory_mb: u64) -> usize {
        let taken_mb: u64 = self.seats.iter().map(|seat| seat.memory_mb).sum();
        let by_memory = self.limits.memory_mb.saturating_sub(taken_mb).checked_div(memory_mb).unwrap_or(0);
        let by_number = self.limits.instances.saturating_sub(self.seats.len());
        by_number.min(usize::try_from(by_memory).unwrap_or(usize::MAX))
    }

    fn offer(&mut self, member: T, started: bool, now: Instant, actions: &mut Vec<Action<T>>) {
        let version = Arc::clone(member.version());
        // One that was just started serves a call first: else two owners could start instances in turn for nothing.
        let makes_room = !started && self.another_starves(version.owner);
        let current = self.functions.get_mut(&version.function_id).filter(|pool| pool.version == version);
        let Some(pool) = current.filter(|_| member.is_open() && !makes_room) else {
            retire(&mut self.leaving, member, actions);
            return;
        };
        let mut granted = Granted { member, started };
        while let Some(waiter) = pool.waiting.pop_front() {
            let Err(Ok(back)) = waiter.grant.send(Ok(granted)) else {
                pool.served = Some(now);
                return;
            };
            granted = back;
        }
        pool.ready.push(Idle { member: granted.member, since: now });
    }

    /// Tells whether a function of someone else has callers and no instance, and nothing is on its way out for it.
    fn another_starves(&self, owner: UserId) -> bool {
        self.crowded
            && self.leaving.is_empty()
            && self.functions.values().any(|pool| {
                pool.version.owner != owner
                    && pool.starting == 0
                    && pool.waiting.iter().any(|waiter| !waiter.grant.is_closed())
                    && !self.seats.iter().any(|seat| seat.function_id == pool.version.function_id)
            })
    }

    /// Starts what waiting callers need and the limits let: first for the owner with the fewest instances, then for
    /// the function that was served longest ago, then for the caller who has waited longest.
    fn start_wanted(&mut self, actions: &mut Vec<Action<T>>) {
        loop {
            let wanting = self.functions.values().filter(|pool| self.wants_another(pool));
            let held = |owner| self.seats.iter().filter(|seat| seat.owner == owner).count();
            let Some(version) = wanting
                .min_by_key(|pool| {
                    let since = pool.waiting.front().map(|waiter| waiter.since);
                    (held(pool.version.owner), pool.served, since)
                })
                .map(|pool| Arc::clone(&pool.version))
            else {
                self.crowded = false;
                return;
            };
            let seat = Seat::of(&version);
            if !self.make_room(seat, actions) {
                self.crowded = true;
                return;
            }
            self.seats.push(seat);
            if let Some(pool) = self.functions.get_mut(&version.function_id) {
                pool.starting += 1;
            }
            actions.push(Action::Start(version, seat));
        }
    }

    fn wants_another(&self, pool: &Pool<T>) -> bool {
        let waiting = pool.waiting.iter().filter(|waiter| !waiter.grant.is_closed()).count();
        let of_version = |seats: &[Seat]| {
            seats.iter().filter(|seat| seat.deployment_id == pool.version.deployment_id).count()
        };
        let instances = of_version(&self.seats).saturating_sub(of_version(&self.leaving));
        waiting > pool.starting
            && instances < pool.version.config.max_instances as usize
            && u64::from(pool.version.config.memory_mb) <= self.limits.memory_mb
    }

    /// Tells whether `seat` fits now; where it does not, the longest idle instances begin to make room for it, if
    /// together they can.
    fn make_room(&mut self, seat: Seat, actions: &mut Vec<Action<T>>) -> bool {
        if self.fits(seat, 0, 0) {
            return true;
        }
        let leaving_mb = |leaving: &[Seat]| leaving.iter().map(|seat| seat.memory_mb).sum::<u64>();
        let idle = || self.functions.values().flat_map(|pool| &pool.ready);
        let idle_mb: u64 = idle().map(|idle| u64::from(idle.member.version().config.memory_mb)).sum();
        if !self.fits(seat, self.leaving.len() + idle().count(), leaving_mb(&self.leaving) + idle_mb) {
            return false;
        }
        loop {
            if self.fits(seat, self.leaving.len(), leaving_mb(&self.leaving)) {
                return false;
            }
            let Some(idle) = self.take_longest_idle() else { return false };
            retire(&mut self.leaving, idle, actions);
        }
    }

    /// Tells whether `seat` fits once `leaving` instances with `leaving_mb` are gone.
    fn fits(&self, seat: Seat, leaving: usize, leaving_mb: u64) -> bool {
        let memory: u64 = self.seats.iter().map(|seat| seat.memory_mb).sum();
        self.seats.len() < self.limits.instances + leaving
            && memory + seat.memory_mb <= self.limits.memory_mb + leaving_mb
    }

    fn take_longest_idle(&mut self) -> Option<T> {
        let pools = self.functions.values_mut();
        // Newest last: the first of each is its longest idle.
        let pool = pools.filter(|pool| !pool.ready.is_empty()).min_by_key(|pool| pool.ready[0].since)?;
        Some(pool.ready.remove(0).member)
    }

    fn retire_spares(&mut self, which: impl Fn(&Idle<T>) -> bool, actions: &mut Vec<Action<T>>) {
        for (_, spare) in self.spares.extract_if(|_, spare| which(spare)) {
            retire(&mut self.leaving, spare.member, actions);
        }
    }
}

fn retire<T: Member>(leaving: &mut Vec<Seat>, member: T, actions: &mut Vec<Action<T>>) {
    leaving.push(Seat::of(member.version()));
    actions.push(Action::Retire(member));
}

fn take(seats: &mut Vec<Seat>, seat: Seat) {
    if let Some(place) = seats.iter().position(|taken| *taken == seat) {
        seats.swap_remove(place);
    }
}
