//! Whose build is next: fair between owners.

use std::collections::{BTreeMap, HashMap, HashSet};

use slipway_kernel::UserId;
use tokio_util::sync::CancellationToken;

use super::LogTail;

/// Gives out the slots of builds.
///
/// An owner's deployments are built one after another, in their order. Of the owners who wait, the one whose last turn
/// is longest ago is next, and who had none comes before all others: many deployments of one owner never hold back
/// another's first.
#[derive(Debug)]
pub(super) struct Turns {
    free: usize,
    last: u64,
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
    building: HashMap<u64, UserId>,
    /// When an owner had a turn last, in turns. Of those who build, and of all who had one since somebody waits.
    served: HashMap<UserId, u64>,
    given: u64,
}

#[derive(Debug)]
struct Waiting {
    owner: UserId,
    log: LogTail,
    has_come: CancellationToken,
    /// How many were before it when that was last said.
    before: Option<usize>,
}

impl Turns {
    /// Makes the turns of so many builds at a time.
    pub(super) fn new(parallel: usize) -> Self {
        Self {
            free: parallel,
            last: 0,
            waiting: BTreeMap::new(),
            building: HashMap::new(),
            served: HashMap::new(),
            given: 0,
        }
    }

    /// Adds one that waits, and says in its log how many are before it; returns its number, and what is cancelled when
    /// its turn has come.
    pub(super) fn enter(&mut self, owner: UserId, log: LogTail) -> (u64, CancellationToken) {
        self.last += 1;
        let has_come = CancellationToken::new();
        let waiting = Waiting { owner, log, has_come: has_come.clone(), before: None };
        self.waiting.insert(self.last, waiting);
        self.give();
        (self.last, has_come)
    }

    /// Notes that one waits or builds no more. May be said twice.
    pub(super) fn leave(&mut self, number: u64) {
        if self.waiting.remove(&number).is_none() && self.building.remove(&number).is_some() {
            self.free += 1;
        }
        self.give();
    }

    fn give(&mut self) {
        while self.free > 0 {
            let is_building = |owner: &UserId| self.building.values().any(|other| other == owner);
            let next = self.order().into_iter().find(|number| !is_building(&self.waiting[number].owner));
            let Some((number, waiting)) = next.and_then(|number| self.waiting.remove_entry(&number)) else {
                break;
            };
            self.free -= 1;
            self.given += 1;
            self.served.insert(waiting.owner, self.given);
            self.building.insert(number, waiting.owner);
            waiting.has_come.cancel();
        }
        if self.waiting.is_empty() {
            let building: HashSet<UserId> = self.building.values().copied().collect();
            self.served.retain(|owner, _| building.contains(owner));
        }
        self.tell();
    }

    /// Says to those who wait how many are before them, where that changed.
    fn tell(&mut self) {
        for (before, number) in self.order().into_iter().enumerate() {
            if let Some(waiting) = self.waiting.get_mut(&number)
                && waiting.before.replace(before) != Some(before)
            {
                waiting.log.push(&match before {
                    0 => "waiting for a builder: next in turn".to_owned(),
                    1 => "waiting for a builder: after 1 other deployment".to_owned(),
                    _ => format!("waiting for a builder: after {before} other deployments"),
                });
            }
        }
    }

    /// Returns those who wait in the order in which they would have their turns with one builder: in rounds of one of
    /// each owner.
    fn order(&self) -> Vec<u64> {
        let mut of_owner: HashMap<UserId, (u64, usize)> = HashMap::new();
        let mut order: Vec<_> = self
            .waiting
            .iter()
            .map(|(number, waiting)| {
                let (first, count) = of_owner.entry(waiting.owner).or_insert((*number, 0));
                *count += 1;
                let served = self.served.get(&waiting.owner).copied().unwrap_or_default();
                ((*count, served, *first), *number)
            })
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, number)| number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Waits {
        number: u64,
        has_come: CancellationToken,
        log: LogTail,
    }

    fn enter(turns: &mut Turns, owner: UserId) -> Waits {
        let log = LogTail::default();
        let (number, has_come) = turns.enter(owner, log.clone());
        Waits { number, has_come, log }
    }

    /// Returns which of those that have their turn is the only one that did not before.
    fn newcomer(all: &[Waits], seen: &mut Vec<usize>) -> Option<usize> {
        let new: Vec<usize> =
            (0..all.len()).filter(|at| all[*at].has_come.is_cancelled() && !seen.contains(at)).collect();
        assert!(new.len() <= 1, "{new:?}");
        seen.extend(&new);
        new.first().copied()
    }

    #[test]
    fn many_of_one_owner_do_not_hold_back_another() {
        let (ada, bob, eve) = (UserId::generate(), UserId::generate(), UserId::generate());
        let mut turns = Turns::new(1);
        let owners = [ada, ada, ada, ada, bob, bob, eve];
        let all = owners.map(|owner| enter(&mut turns, owner));
        let mut seen = Vec::new();
        let mut order = Vec::new();
        while let Some(next) = newcomer(&all, &mut seen) {
            order.push(next);
            turns.leave(all[next].number);
        }
        assert_eq!(order, [0, 4, 6, 1, 5, 2, 3]);
        assert_eq!(
            all[1].log.text(),
            "waiting for a builder: next in turn\n\
             waiting for a builder: after 1 other deployment\n\
             waiting for a builder: after 2 other deployments\n\
             waiting for a builder: after 1 other deployment\n\
             waiting for a builder: next in turn\n"
        );
        assert_eq!(all[0].log.text(), "", "it never waited");
    }

    #[test]
    fn one_owner_builds_one_at_a_time_and_others_take_the_slots_that_are_left() {
        let (ada, bob) = (UserId::generate(), UserId::generate());
        let mut turns = Turns::new(2);
        let all = [ada, ada, bob].map(|owner| enter(&mut turns, owner));
        let have_come = || all.each_ref().map(|one| one.has_come.is_cancelled());
        assert_eq!(have_come(), [true, false, true]);
        turns.leave(all[2].number);
        turns.leave(all[2].number);
        assert_eq!(have_come(), [true, false, true], "a second word of its end frees no second slot");
        turns.leave(all[0].number);
        assert_eq!(have_come(), [true; 3]);
    }

    #[test]
    fn who_comes_again_and_again_does_not_overtake_who_waits() {
        let (ada, bob) = (UserId::generate(), UserId::generate());
        let mut turns = Turns::new(1);
        let (first, second) = (enter(&mut turns, bob), enter(&mut turns, bob));
        let ada_first = enter(&mut turns, ada);
        turns.leave(first.number);
        assert!(ada_first.has_come.is_cancelled());
        let again = enter(&mut turns, ada);
        turns.leave(ada_first.number);
        assert_eq!((second.has_come.is_cancelled(), again.has_come.is_cancelled()), (true, false));
    }

    #[test]
    fn who_gives_up_waiting_is_passed_over() {
        let (ada, bob) = (UserId::generate(), UserId::generate());
        let mut turns = Turns::new(1);
        let all = [ada, ada, bob].map(|owner| enter(&mut turns, owner));
        turns.leave(all[2].number);
        turns.leave(all[0].number);
        assert!(all[1].has_come.is_cancelled());
        turns.leave(all[1].number);
        assert_eq!((turns.free, turns.served.len()), (1, 0));
    }
}
