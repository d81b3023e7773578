use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use slipway_kernel::{FunctionId, UserId};

use super::Execution;

/// What a run was given, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The request but for its body, in the terms of `crate::invoke`.
    pub head: Value,
    /// The body.
    pub body: Vec<u8>,
}

/// A run that nobody waits for, taken from the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct AsyncRun {
    /// The run as it stands.
    pub execution: Execution,
    /// What it is given.
    pub input: Input,
}

/// When a run that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often it is tried in all.
    pub attempts: i32,
    /// The longest pause after the first attempt; it doubles with each.
    pub base: Duration,
    /// The longest pause.
    pub cap: Duration,
}

impl Retry {
    /// Tells whether attempt number `attempt` is followed by another where it fails.
    pub fn goes_on_after(self, attempt: i32) -> bool {
        attempt < self.attempts
    }

    /// Returns the pause after attempt number `attempt`: exponential backoff with full jitter, so that what failed
    /// together does not come back together ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). `random`
    /// lies between 0 and 1.
    pub fn pause(self, attempt: i32, random: f64) -> Duration {
        let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or_default();
        let longest = self.base.saturating_mul(2_u32.saturating_pow(doublings)).min(self.cap);
        longest.mul_f64(random.clamp(0.0, 1.0))
    }
}

/// How many runs that nobody waits for go on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsyncLimits {
    /// Of all owners.
    pub in_all: usize,
    /// Of one owner.
    pub per_owner: usize,
    /// Of one function.
    pub per_function: usize,
}

/// The runs of a function that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose function it is.
    pub owner: UserId,
    /// The function.
    pub function_id: FunctionId,
    /// How many there are.
    pub runs: usize,
    /// Since when the first of them is due.
    pub since: DateTime<Utc>,
}

/// How many owners' turns are remembered; when there are more, all are forgotten.
const TURNS: usize = 10_000;

/// The runs that are going on, counted.
#[derive(Debug, Clone, Default)]
pub struct Underway {
    in_all: usize,
    /// When each owner had a turn, counted in turns.
    turns: HashMap<UserId, u64>,
    turn: u64,
    owners: HashMap<UserId, usize>,
    functions: HashMap<FunctionId, usize>,
}

impl Underway {
    /// Counts a run that begins.
    pub fn add(&mut self, owner: UserId, function_id: FunctionId) {
        if self.turns.len() >= TURNS {
            self.turns.clear();
        }
        self.turn += 1;
        self.turns.insert(owner, self.turn);
        self.in_all += 1;
        *self.owners.entry(owner).or_default() += 1;
        *self.functions.entry(function_id).or_default() += 1;
    }

    /// Counts a run that is over.
    pub fn remove(&mut self, owner: UserId, function_id: FunctionId) {
        self.in_all = self.in_all.saturating_sub(1);
        discount(&mut self.owners, &owner);
        discount(&mut self.functions, &function_id);
    }

    /// Tells whether another run may begin.
    pub fn has_room(&self, limits: AsyncLimits) -> bool {
        self.in_all < limits.in_all
    }

    /// Chooses whose runs begin next, as many as the limits let: the function of each. First comes the owner with the
    /// fewest runs under way, of these the one whose turn was longest ago, then the function with the fewest, then what
    /// has been due for longest; so however much one owner has queued, another's next run waits for one of the runs that
    /// go on, and not for the queue.
    pub fn choose(mut self, mut due: Vec<Due>, limits: AsyncLimits) -> Vec<FunctionId> {
        let mut chosen = Vec::new();
        while self.has_room(limits) {
            let owners = |due: &Due| self.owners.get(&due.owner).copied().unwrap_or_default();
            let functions = |due: &Due| self.functions.get(&due.function_id).copied().unwrap_or_default();
            let next = due
                .iter_mut()
                .filter(|due| {
                    due.runs > 0 && owners(due) < limits.per_owner && functions(due) < limits.per_function
                })
                .min_by_key(|due| (owners(due), self.turns.get(&due.owner), functions(due), due.since));
            let Some(next) = next else { break };
            next.runs -= 1;
            chosen.push(next.function_id);
            let (owner, function_id) = (next.owner, next.function_id);
            self.add(owner, function_id);
        }
        chosen
    }
}

fn discount<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: AsyncLimits = AsyncLimits { in_all: 6, per_owner: 4, per_function: 2 };

    fn due(owner: UserId, runs: usize, second: i64) -> Due {
        let since = DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap();
        Due { owner, function_id: FunctionId::generate(), runs, since }
    }

    #[test]
    fn an_owner_with_a_long_queue_leaves_room_for_another() {
        let (flood, ada) = (UserId::generate(), UserId::generate());
        let waiting = vec![due(flood, 1_000, 0), due(flood, 1_000, 0), due(flood, 1_000, 0), due(ada, 1, 60)];
        let chosen = Underway::default().choose(waiting.clone(), LIMITS);
        assert_eq!(chosen.len(), 5, "four of the one owner, and the other's");
        assert_eq!(chosen[1], waiting[3].function_id, "whoever has none under way is second at the latest");
    }

    #[test]
    fn where_one_runs_at_a_time_owners_take_turns() {
        let (flood, ada) = (UserId::generate(), UserId::generate());
        let (many, one) = (due(flood, 1_000, 0), due(ada, 1, 60));
        let limits = AsyncLimits { in_all: 1, ..LIMITS };
        let mut underway = Underway::default();
        underway.add(flood, many.function_id);
        underway.remove(flood, many.function_id);
        assert_eq!(underway.choose(vec![many, one.clone()], limits), [one.function_id]);
    }

    #[test]
    fn what_is_under_way_counts() {
        let ada = UserId::generate();
        let waiting = due(ada, 5, 0);
        let mut underway = Underway::default();
        underway.add(ada, waiting.function_id);
        assert_eq!(underway.clone().choose(vec![waiting.clone()], LIMITS).len(), 1);
        underway.add(ada, waiting.function_id);
        assert_eq!(underway.clone().choose(vec![waiting.clone()], LIMITS), []);
        underway.remove(ada, waiting.function_id);
        assert_eq!(underway.choose(vec![waiting], LIMITS).len(), 1);
    }

    #[test]
    fn pauses_double_up_to_their_cap_and_are_spread_from_nothing() {
        let retry = Retry { attempts: 3, base: Duration::from_secs(1), cap: Duration::from_secs(5) };
        let longest = [1, 2, 3, 4, 400].map(|attempt| retry.pause(attempt, 1.0).as_secs());
        assert_eq!(longest, [1, 2, 4, 5, 5]);
        assert_eq!(retry.pause(3, 0.0), Duration::ZERO);
        assert_eq!([1, 2, 3].map(|attempt| retry.goes_on_after(attempt)), [true, true, false]);
    }

    proptest! {
        #[test]
        fn no_queue_exceeds_a_limit(queues in prop::collection::vec((0_usize..3, 0_usize..9), 0..12)) {
            let owners = [UserId::generate(), UserId::generate(), UserId::generate()];
            let waiting: Vec<Due> =
                queues.iter().zip(0..).map(|((owner, runs), at)| due(owners[*owner], *runs, at)).collect();
            let chosen = Underway::default().choose(waiting.clone(), LIMITS);
            prop_assert!(chosen.len() <= LIMITS.in_all);
            for one in &waiting {
                let of_function = chosen.iter().filter(|id| **id == one.function_id).count();
                prop_assert!(of_function <= one.runs.min(LIMITS.per_function));
            }
            let eligible: usize = owners.iter().map(|owner| {
                let of_owner = waiting.iter().filter(|due| due.owner == *owner);
                of_owner.map(|due| due.runs.min(LIMITS.per_function)).sum::<usize>().min(LIMITS.per_owner)
            }).sum();
            prop_assert_eq!(chosen.len(), eligible.min(LIMITS.in_all), "no place is left empty");
        }
    }
}
