//! What becomes of instances when a function's active version changes: checked before, lent after, and removed.

use std::sync::Arc;
use std::time::Instant;

use slipway_kernel::FunctionId;

use super::ledger::Seat;
use super::member::Member;
use super::pool::{Action, Idle, Pool, Pools, is_same, retire};
use super::{Busy, StartFailure};
use crate::domain::Version;

impl<T: Member> Pools<T> {
    /// Takes a seat for an instance of a version that is to be checked; `None` where there is no room yet.
    pub(super) fn seat_for_check(
        &mut self,
        version: &Version,
    ) -> (Result<Option<Seat>, Busy>, Vec<Action<T>>) {
        let mut actions = Vec::new();
        if let Some(busy) = self.too_large(version) {
            return (Err(busy), actions);
        }
        let seat = Seat::of(version);
        if self.make_room(seat, None, &mut actions) {
            self.ledger.take(seat);
            return (Ok(Some(seat)), actions);
        }
        (Ok(None), actions)
    }

    /// Keeps a checked instance until its version is active.
    pub(super) fn keep_checked(&mut self, member: T, now: Instant) -> Vec<Action<T>> {
        let deployment_id = member.version().deployment_id;
        let before = self.checked.insert(deployment_id, Idle { member, since: now });
        let mut actions = Vec::new();
        if let Some(idle) = before {
            retire(&mut self.ledger, idle.member, &mut actions);
        }
        actions
    }

    /// Makes `version` the one that calls of its function go to. Instances of another version, or with another
    /// configuration, go as soon as they are idle.
    pub(super) fn activate(&mut self, version: &Arc<Version>, now: Instant) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        if self.closed {
            return actions;
        }
        let pool = self.functions.entry(version.function_id).or_insert_with(|| Pool::new(version));
        let before = std::mem::replace(&mut pool.version, Arc::clone(version));
        if !is_same(&before, version) {
            // Instances of the old one that are on their way are none for those who wait, and what it died of need
            // not befall the new one.
            pool.starting = 0;
            pool.upkeep.served();
        }
        let (kept, outdated): (Vec<_>, Vec<_>) =
            pool.ready.drain(..).partition(|idle| is_same(idle.member.version(), version));
        pool.ready = kept;
        for idle in outdated {
            self.let_go(idle.member, &mut actions);
        }
        if let Some(checked) = self.checked.remove(&version.deployment_id) {
            self.offer(checked.member, false, checked.since, &mut actions);
        }
        self.wanting.insert(version.function_id);
        self.start_wanted(now, &mut actions);
        actions
    }

    /// Forgets a function. Callers who wait are told that it was removed; its busy instances are the caller's to end.
    pub(super) fn remove_function(&mut self, id: FunctionId) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        self.wanting.remove(&id);
        if let Some(pool) = self.functions.remove(&id) {
            for waiter in pool.waiting {
                self.queues.leave(pool.version.owner);
                let _ = waiter.grant.send(Err(StartFailure::Removed));
            }
            for idle in pool.ready {
                self.let_go(idle.member, &mut actions);
            }
        }
        self.retire_checked(|checked| checked.member.version().function_id == id, &mut actions);
        actions
    }

    /// Gives up everything that is idle, and everyone who waits; from then on nothing starts.
    pub(super) fn close(&mut self) -> Vec<Action<T>> {
        self.closed = true;
        let functions: Vec<FunctionId> = self.functions.keys().copied().collect();
        let mut actions: Vec<_> = functions.into_iter().flat_map(|id| self.remove_function(id)).collect();
        self.retire_checked(|_| true, &mut actions);
        actions
    }

    pub(super) fn retire_checked(&mut self, which: impl Fn(&Idle<T>) -> bool, actions: &mut Vec<Action<T>>) {
        for (_, checked) in self.checked.extract_if(|_, checked| which(checked)) {
            retire(&mut self.ledger, checked.member, actions);
        }
    }
}
