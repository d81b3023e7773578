use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use quick_cache::unsync::Cache;

use crate::Quota;
use crate::window::{Standing, Window};

/// About 15 MB when full.
const CAPACITY: usize = 100_000;

/// The counters of one process. When they are too many, the least useful are forgotten.
pub(crate) struct Memory {
    started: Instant,
    windows: Mutex<Cache<String, Window>>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), windows: Mutex::new(Cache::new(CAPACITY)) }
    }

    /// Counts, where all have room; returns whether, and where each stands then.
    pub(crate) fn count(&self, wanted: &[(String, Quota)]) -> (bool, Vec<Standing>) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counted: Vec<(Window, Quota)> = wanted
            .iter()
            .map(|(name, quota)| (windows.get(name).copied().unwrap_or_default().at(now, *quota), *quota))
            .collect();
        let has_room = counted.iter().all(|(window, quota)| window.standing(now, *quota).remaining > 0);
        if has_room {
            for ((name, _), (window, _)) in wanted.iter().zip(&mut counted) {
                window.count();
                windows.insert(name.clone(), *window);
            }
        }
        let standings = counted.iter().map(|(window, quota)| window.standing(now, *quota)).collect();
        (has_room, standings)
    }

    /// Forgets what was counted.
    pub(crate) fn forget(&self, name: &str) {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
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
        let (_, standings) = memory.count(&busy);
        assert!(standings[0].remaining < 1_000_000 - 1_000, "{standings:?}");
    }
}
