//! How many calls wait, and whether one more may.

use std::collections::HashMap;
use std::fmt;

use slipway_kernel::UserId;

/// How many calls may wait for an instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) per_function: usize,
    pub(super) per_owner: usize,
    /// Where this many wait, only owners with less than an equal share of it may add to them.
    pub(super) in_all: usize,
}

/// Which bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// So many calls of the function wait.
    Function(usize),
    /// So many calls of its owner's functions.
    Owner(usize),
    /// So many calls of all functions.
    Host(usize),
}

/// The calls that wait, by the owner of their function.
#[derive(Debug, Default)]
pub(super) struct Queues {
    in_all: usize,
    owners: HashMap<UserId, usize>,
}

impl Queues {
    pub(super) fn enter(&mut self, owner: UserId) {
        self.in_all += 1;
        *self.owners.entry(owner).or_default() += 1;
    }

    pub(super) fn leave(&mut self, owner: UserId) {
        self.in_all = self.in_all.saturating_sub(1);
        if let Some(waiting) = self.owners.get_mut(&owner) {
            *waiting -= 1;
            if *waiting == 0 {
                self.owners.remove(&owner);
            }
        }
    }

    /// Says why no call may be added to `of_function` ones of a function of `owner`.
    pub(super) fn full(&self, owner: UserId, of_function: usize, bounds: Waiting) -> Option<Full> {
        let own = self.owners.get(&owner).copied().unwrap_or(0);
        let others = self.owners.len() - usize::from(own > 0);
        if of_function >= bounds.per_function {
            Some(Full::Function(bounds.per_function))
        } else if own >= bounds.per_owner {
            Some(Full::Owner(bounds.per_owner))
        } else if self.in_all >= bounds.in_all && own >= (bounds.in_all / (others + 1)).max(1) {
            Some(Full::Host(bounds.in_all))
        } else {
            None
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(most) => write!(f, "{most} calls of this function wait already"),
            Self::Owner(most) => write!(f, "{most} calls of its owner's functions wait already"),
            Self::Host(most) => write!(f, "{most} calls of all functions wait already"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_refuses_and_is_named() {
        let bounds = Waiting { per_function: 2, per_owner: 3, in_all: 4 };
        let owner = UserId::generate();
        let mut queues = Queues::default();
        assert_eq!(queues.full(owner, 2, bounds), Some(Full::Function(2)));
        for _ in 0..3 {
            assert_eq!(queues.full(owner, 0, bounds), None);
            queues.enter(owner);
        }
        assert_eq!(queues.full(owner, 0, bounds), Some(Full::Owner(3)));
        queues.leave(owner);
        assert_eq!(queues.full(owner, 0, bounds), None);
    }

    #[test]
    fn an_owner_who_has_less_than_a_share_of_the_whole_may_still_wait() {
        let bounds = Waiting { per_function: 10, per_owner: 10, in_all: 10 };
        let (greedy, modest) = (UserId::generate(), UserId::generate());
        let mut queues = Queues::default();
        for _ in 0..10 {
            queues.enter(greedy);
        }
        for _ in 0..5 {
            assert_eq!(queues.full(modest, 0, bounds), None);
            queues.enter(modest);
        }
        assert_eq!(queues.full(modest, 0, bounds), Some(Full::Host(10)));
        assert_eq!(queues.full(greedy, 0, Waiting { per_owner: 100, ..bounds }), Some(Full::Host(10)));
    }
}
