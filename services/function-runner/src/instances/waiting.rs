//! Callers in a queue: who may enter it, and what they wait for.

use slipway_kernel::FunctionId;
use tokio::sync::oneshot;

use super::Busy;
use super::ledger::{Seat, Shortage};
use super::member::Member;
use super::pool::{Grant, Place, Pools, Waiter};
use crate::domain::Version;

impl<T: Member> Pools<T> {
    /// Gives up a caller's place, where it has not been served.
    pub(super) fn give_up(&mut self, place: Place) {
        if let Some(pool) = self.functions.get_mut(&place.function_id)
            && let Ok(index) = pool.waiting.binary_search_by_key(&place.number, |waiter| waiter.number)
            && pool.waiting.remove(index).is_some()
        {
            self.queues.leave(pool.version.owner);
        }
    }

    /// Says what a caller waits for.
    pub(super) fn shortage(&self, place: Place) -> Shortage {
        self.shortage_of(place.function_id)
    }

    /// Says what keeps a function from having another instance.
    fn shortage_of(&self, function_id: FunctionId) -> Shortage {
        let Some(pool) = self.functions.get(&function_id) else { return Shortage::None };
        let most = pool.most();
        if self.ledger.deployment(pool.version.deployment_id).staying() >= most {
            return Shortage::FunctionInstances(most);
        }
        self.ledger.shortage(Seat::of(&pool.version), self.limits.owner, self.limits.host)
    }

    /// Says why a caller may not wait.
    pub(super) fn may_wait(&self, version: &Version) -> Result<(), Busy> {
        let pool = self.functions.get(&version.function_id);
        if let Some(busy) = pool.and_then(|pool| self.too_large(&pool.version)) {
            return Err(busy);
        }
        let waiting = pool.map_or(0, |pool| pool.waiting.len());
        let full = self.queues.full(version.owner, waiting, self.limits.waiting);
        full.map_or(Ok(()), |full| Err(Busy::QueueFull(full, self.shortage_of(version.function_id))))
    }

    pub(super) fn too_large(&self, version: &Version) -> Option<Busy> {
        let needs = u64::from(version.config.memory_mb);
        if needs > self.limits.host.memory_mb {
            Some(Busy::TooLarge { host_mb: self.limits.host.memory_mb })
        } else if needs > self.limits.owner.memory_mb {
            Some(Busy::TooLargeForOwner { owner_mb: self.limits.owner.memory_mb })
        } else {
            None
        }
    }

    pub(super) fn enqueue(&mut self, version: &Version) -> (Place, oneshot::Receiver<Grant<T::Slot>>) {
        let (grant, granted) = oneshot::channel();
        let place = Place { function_id: version.function_id, number: self.next_number };
        self.next_number += 1;
        if let Some(pool) = self.functions.get_mut(&version.function_id) {
            pool.waiting.push_back(Waiter { number: place.number, grant });
            self.queues.enter(pool.version.owner);
            self.wanting.insert(version.function_id);
        }
        (place, granted)
    }
}
