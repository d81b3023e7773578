use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use quick_cache::unsync::Cache;

use crate::window::Window;
use crate::{Counter, Quota, Verdict};

/// About 9 MB when full.
const CAPACITY: usize = 100_000;

/// The counters of one process. When they are too many, the least useful are forgotten.
pub(crate) struct Memory {
    started: Instant,
    /// With a key of this process, so that nobody can choose two counters that are one.
    hasher: RandomState,
    /// By the hash of what tells a counter from others: two that meet by chance are not to be feared.
    windows: Mutex<Cache<u64, Window>>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            hasher: RandomState::new(),
            windows: Mutex::new(Cache::new(CAPACITY)),
        }
    }

    /// Counts, where all have room.
    pub(crate) fn count(&self, wanted: &[(impl Counter, Quota)]) -> Verdict {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |(counter, quota): &(_, Quota)| {
            let key = self.hasher.hash_one(counter);
            (key, windows.get(&key).copied().unwrap_or_default().at(now, *quota), *quota)
        };
        let mut found: Vec<(u64, Window, Quota)> = wanted.iter().map(find).collect();
        let has_room = found.iter().all(|(_, window, quota)| window.standing(now, *quota).remaining > 0);
        if has_room {
            for (key, window, _) in &mut found {
                window.count();
                windows.insert(*key, *window);
            }
        }
        Verdict::of(has_room, found.iter().map(|(_, window, quota)| window.standing(now, *quota)))
    }

    /// Forgets what was counted.
    pub(crate) fn forget(&self, counter: &impl Counter) {
        let key = self.hasher.hash_one(counter);
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_are_counted_memory_is_bounded_and_the_busy_ones_stay() {
        let memory = Memory::new();
        let quota = Quota::new(1_000_000, 3_600);
        let busy = [("busy".to_owned(), quota)];
        for number in 0..3 * CAPACITY {
            memory.count(&[(number.to_string(), quota)]);
            if number % 100 == 0 {
                memory.count(&busy);
            }
        }
        assert!(memory.windows.lock().unwrap().len() <= CAPACITY);
        let verdict = memory.count(&busy);
        assert!(verdict.remaining < 1_000_000 - 1_000, "{verdict:?}");
    }
}
