//! What is started, for whom first, and what makes room for it.
//!
//! No more instances start than fit: into the function's limit, its owner's share of the host, and the host. Callers
//! who wait come first: those of the owner with the fewest instances, then of the function that was served longest ago.
//! Then come the instances that a function's `min_instances` lack; last a spare, for functions whose calls overlap, so
//! that the next caller finds one.
//!
//! Where one does not fit, the longest idle instance makes room; for a spare none does. Where none is idle, an
//! instance that has ended its call makes room for a function that has none, or for an owner who has fewer: so one
//! owner's queue never starves another's. Instances that are kept ready make room for a function that has none only.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use slipway_kernel::{FunctionId, UserId};

use super::ledger::{Gone, Room, Seat};
use super::member::Member;
use super::pool::{Action, Pool, Pools, retire};
use crate::domain::Version;

/// Why a function is to have another instance, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Want {
    Caller,
    Kept,
    Spare,
}

impl<T: Member> Pools<T> {
    /// Starts what is wanted and the limits let.
    pub(super) fn start_wanted(&mut self, now: Instant, actions: &mut Vec<Action<T>>) {
        self.crowded = false;
        let mut full_owners = HashSet::new();
        while let Some((function_id, want)) = self.most_urgent(now, &full_owners) {
            let Some(pool) = self.functions.get(&function_id) else { return };
            let (version, seat) = (Arc::clone(&pool.version), Seat::of(&pool.version));
            if self.make_room(seat, Some((want, function_id)), actions) {
                self.ledger.take(seat);
                if let Some(pool) = self.functions.get_mut(&function_id) {
                    pool.starting += 1;
                }
                actions.push(Action::Start(version, seat));
                continue;
            }
            self.crowded |= want == Want::Caller;
            // What fits its owner's share waits for the host, before all others: nothing smaller may keep it out.
            if self.ledger.owner(seat.owner).leaves_room(seat, self.limits.owner, Gone::default()) {
                return;
            }
            full_owners.insert(seat.owner);
        }
    }

    /// Returns the function that is to have the next instance, and forgets those that want none.
    fn most_urgent(&mut self, now: Instant, full_owners: &HashSet<UserId>) -> Option<(FunctionId, Want)> {
        if self.closed || self.wanting.is_empty() {
            return None;
        }
        let mut wanting = std::mem::take(&mut self.wanting);
        let mut first = None;
        wanting.retain(|id| {
            let Some((pool, want)) =
                self.functions.get(id).and_then(|pool| Some((pool, self.want(pool, now)?)))
            else {
                return false;
            };
            if !full_owners.contains(&pool.owner()) {
                let held = self.ledger.owner(pool.owner()).instances;
                let oldest = pool.waiting.front().map(|waiter| waiter.number);
                let urgency = (want, held, pool.served, oldest);
                if first.as_ref().is_none_or(|(least, _)| urgency < *least) {
                    first = Some((urgency, *id));
                }
            }
            true
        });
        self.wanting = wanting;
        first.map(|((want, ..), id)| (id, want))
    }

    fn want(&self, pool: &Pool<T>, now: Instant) -> Option<Want> {
        let staying = self.ledger.deployment(pool.version.deployment_id).staying();
        if staying >= pool.most() || self.too_large(&pool.version).is_some() {
            return None;
        }
        if pool.lacks_slots() {
            return Some(Want::Caller);
        }
        if !pool.upkeep.is_due(now) {
            return None;
        }
        if staying < pool.least() {
            return Some(Want::Kept);
        }
        let all_busy = staying > 0 && pool.ready.is_empty() && pool.starting == 0;
        (all_busy && pool.upkeep.is_shared(now)).then_some(Want::Spare)
    }

    /// Tells whether `seat` fits now; where it does not, the longest idle instances begin to make room for it, if
    /// together they can. `wanted` says for which function, and why; it is absent where a version is checked.
    pub(super) fn make_room(
        &mut self,
        seat: Seat,
        wanted: Option<(Want, FunctionId)>,
        actions: &mut Vec<Action<T>>,
    ) -> bool {
        let (owner_room, host_room) = (self.limits.owner, self.limits.host);
        let owner_has = self.make_room_in(Some(seat.owner), owner_room, seat, wanted, actions);
        owner_has && self.make_room_in(None, host_room, seat, wanted, actions)
    }

    /// The same within the room of one owner, or of the host.
    fn make_room_in(
        &mut self,
        owner: Option<UserId>,
        room: Room,
        seat: Seat,
        wanted: Option<(Want, FunctionId)>,
        actions: &mut Vec<Action<T>>,
    ) -> bool {
        let taken = |pools: &Self| owner.map_or_else(|| pools.ledger.host(), |id| pools.ledger.owner(id));
        if taken(self).leaves_room(seat, room, Gone::default()) {
            return true;
        }
        let mut gone = taken(self).leaving();
        let mut victims = Vec::new();
        let mut idle = self.idle_that_yield(owner, seat, wanted);
        idle.sort_unstable_by_key(|(since, _)| std::cmp::Reverse(*since));
        while !taken(self).leaves_room(seat, room, gone) {
            let Some((_, victim)) = idle.pop() else { return false };
            gone.instances += 1;
            gone.memory_mb +=
                self.functions.get(&victim).map_or(0, |pool| pool.version.config.memory_mb.into());
            victims.push(victim);
        }
        for victim in victims {
            // Last used last: the first is the longest idle.
            if let Some(pool) = self.functions.get_mut(&victim)
                && let Some(place) = pool.ready.iter().position(|idle| idle.member.is_idle())
            {
                retire(&mut self.ledger, pool.ready.remove(place).member, actions);
            }
        }
        false
    }

    /// Lists the idle instances that make room for `seat`: since when they are idle, and of which function.
    fn idle_that_yield(
        &self,
        owner: Option<UserId>,
        seat: Seat,
        wanted: Option<(Want, FunctionId)>,
    ) -> Vec<(Instant, FunctionId)> {
        if matches!(wanted, Some((Want::Spare, _))) {
            return Vec::new();
        }
        let wants_first = matches!(wanted, Some((Want::Caller, _)))
            && self.ledger.function(seat.function_id).instances == 0;
        let pools = self
            .functions
            .iter()
            .filter(|(_, pool)| !pool.ready.is_empty() && owner.is_none_or(|owner| pool.owner() == owner));
        pools
            .flat_map(|(id, pool)| {
                let staying = self.ledger.deployment(pool.version.deployment_id).staying();
                let yields = wants_first && seat.function_id != *id;
                let kept = if yields { 0 } else { pool.starting + pool.least() };
                let idle = pool.ready.iter().filter(|idle| idle.member.is_idle());
                idle.take(staying.saturating_sub(kept)).map(|idle| (idle.since, *id))
            })
            .collect()
    }

    /// Tells whether an instance of `version` that has ended a call makes room, once it has no other: callers of another
    /// function wait, and no room is on its way.
    pub(super) fn another_starves(&self, version: &Version) -> bool {
        self.crowded
            && self.ledger.host().leaving == 0
            && self.wanting.iter().any(|id| {
                *id != version.function_id
                    && self.functions.get(id).is_some_and(|pool| {
                        pool.lacks_slots()
                            && self.ledger.deployment(pool.version.deployment_id).staying() < pool.most()
                            && self.too_large(&pool.version).is_none()
                            && self.yields(version, Seat::of(&pool.version))
                    })
            })
    }

    /// Tells whether an instance of `version` is given up for a caller who wants `seat`. Within an owner, for a
    /// function that has none. Between owners, for one who has at least two fewer: so nothing is taken back in turn.
    /// Where the host is too small for that, for a function that has none of an owner who has fewer.
    fn yields(&self, version: &Version, seat: Seat) -> bool {
        let has_none = self.ledger.function(seat.function_id).instances == 0;
        if version.owner == seat.owner {
            return has_none;
        }
        let held = |owner| self.ledger.owner(owner).instances;
        let (mine, others) = (held(version.owner), held(seat.owner));
        self.fits_owner(seat) && (others + 1 < mine || (has_none && others < mine))
    }

    /// Tells whether a seat fits its owner's share once what is leaving has left.
    fn fits_owner(&self, seat: Seat) -> bool {
        let taken = self.ledger.owner(seat.owner);
        taken.leaves_room(seat, self.limits.owner, taken.leaving())
    }
}
