//! What a function's instances are kept up by beside its calls: which of them died, and when another may be prepared.

use std::time::{Duration, Instant};

/// How long calls of a function that overlapped have a spare kept for the next.
const SHARED_FOR: Duration = Duration::from_mins(1);
/// The pause after a second death; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Deaths that lie further apart than this have nothing to do with each other.
const UNRELATED: Duration = Duration::from_mins(10);

#[derive(Debug, Default)]
pub(super) struct Upkeep {
    deaths: u32,
    last_death: Option<Instant>,
    /// When two calls last overlapped.
    shared: Option<Instant>,
}

impl Upkeep {
    /// Notes that two calls were there at a time.
    pub(super) fn overlapped(&mut self, now: Instant) {
        self.shared = Some(now);
    }

    /// Tells whether calls overlapped lately.
    pub(super) fn is_shared(&self, now: Instant) -> bool {
        self.shared.is_some_and(|at| now.saturating_duration_since(at) < SHARED_FOR)
    }

    /// Notes that an instance ended by itself, or could not be started.
    pub(super) fn died(&mut self, now: Instant) {
        let related = self.last_death.is_some_and(|last| now.saturating_duration_since(last) < UNRELATED);
        self.deaths = if related { self.deaths.saturating_add(1) } else { 1 };
        self.last_death = Some(now);
    }

    /// Notes that an instance served a call to its end.
    pub(super) fn served(&mut self) {
        self.deaths = 0;
    }

    /// Tells whether one may be started for which nobody waits: at once after one death, then less and less often.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let Some(last) = self.last_death.filter(|_| self.deaths > 1) else { return true };
        let doublings = (self.deaths - 2).min(16);
        let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
        now.saturating_duration_since(last) >= pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_with_each_death_up_to_a_bound_and_a_served_call_ends_it() {
        let mut upkeep = Upkeep::default();
        let mut now = Instant::now();
        assert!(upkeep.is_due(now));
        let mut pauses = Vec::new();
        for _ in 0..12 {
            upkeep.died(now);
            let before = now;
            while !upkeep.is_due(now) {
                now += Duration::from_secs(1);
            }
            pauses.push((now - before).as_secs());
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        upkeep.died(now);
        upkeep.served();
        assert!(upkeep.is_due(now));
    }

    #[test]
    fn deaths_far_apart_are_not_added_up() {
        let mut upkeep = Upkeep::default();
        let now = Instant::now();
        upkeep.died(now);
        upkeep.died(now + UNRELATED);
        assert!(upkeep.is_due(now + UNRELATED));
    }
}
