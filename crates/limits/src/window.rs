use std::time::Duration;

/// How often something may happen within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How often; at least once.
    pub limit: u32,
    /// The length of the window that slides.
    pub window: Duration,
}

impl Quota {
    /// Makes a quota of so many within so many seconds.
    pub const fn new(limit: u32, seconds: u64) -> Self {
        Self { limit, window: Duration::from_secs(seconds) }
    }

    pub(crate) fn window_ms(self) -> u64 {
        u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// The counters of one quota: how often it was in the fixed window of this index, and in the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Window {
    index: u64,
    current: u32,
    previous: u32,
}

/// Where a quota stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// How often more it may happen at once.
    pub(crate) remaining: u32,
    /// How long until it may happen again, in milliseconds; nothing where it may.
    pub(crate) wait_ms: u64,
}

impl Window {
    /// Moves on to the fixed window that `now` lies in.
    pub(crate) fn at(self, now_ms: u64, quota: Quota) -> Self {
        let index = now_ms / quota.window_ms();
        match index.checked_sub(self.index) {
            Some(0) => self,
            Some(1) => Self { index, current: 0, previous: self.current },
            // Longer ago; or later than now, by a clock that was set back.
            _ => Self { index, current: 0, previous: 0 },
        }
    }

    pub(crate) fn count(&mut self) {
        self.current = self.current.saturating_add(1);
    }

    /// Tells where the quota stands. The window has to be of this time.
    pub(crate) fn standing(self, now_ms: u64, quota: Quota) -> Standing {
        let (window, limit) = (quota.window_ms(), u64::from(quota.limit.max(1)));
        let (current, previous) = (u64::from(self.current), u64::from(self.previous));
        let elapsed = now_ms % window;
        // What is left of the window before, rounded up.
        let carried = (previous * (window - elapsed)).div_ceil(window);
        let room = limit.saturating_sub(current + carried);
        let wait_ms = if room > 0 {
            0
        } else if current < limit {
            // As soon as the window before counts for no more than limit - 1 - current.
            until(previous, limit - 1 - current, window).saturating_sub(elapsed)
        } else {
            (window - elapsed) + until(current, limit - 1, window)
        };
        Standing { remaining: u32::try_from(room).unwrap_or(u32::MAX), wait_ms }
    }
}

/// How far into a window `before` counts for at most `most`.
fn until(before: u64, most: u64, window: u64) -> u64 {
    if before <= most { 0 } else { window - (most * window) / before }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota::new(10, 60);

    /// Tries at a time; counts it where there is room.
    fn admits(window: &mut Window, now_ms: u64) -> bool {
        *window = window.at(now_ms, QUOTA);
        let has_room = window.standing(now_ms, QUOTA).remaining > 0;
        if has_room {
            window.count();
        }
        has_room
    }

    #[test]
    fn whoever_tries_without_a_pause_comes_to_the_limit_and_never_to_twice_as_many() {
        // The worst is to begin at the end of a fixed window: what comes after takes that for spread over it.
        for begin in [0, 30_000, 59_000] {
            let mut window = Window::default();
            let tries = (begin..begin + 600_000).step_by(100);
            let admitted: Vec<u64> = tries.filter(|now| admits(&mut window, *now)).collect();
            for start in (begin..begin + 540_000).step_by(500) {
                let within = admitted.iter().filter(|at| (start..start + 60_000).contains(*at)).count();
                assert!(within < 20, "{within} from {start}");
            }
            assert!((80..=110).contains(&admitted.len()), "{}", admitted.len());
        }
    }

    #[test]
    fn what_is_said_of_the_wait_is_true() {
        let mut window = Window::default();
        for now in (0..300_000).step_by(777) {
            if !admits(&mut window, now) {
                let wait = window.standing(now, QUOTA).wait_ms;
                assert!(wait > 0 && wait <= 120_000, "{wait}");
                let mut later = window;
                assert!(admits(&mut later, now + wait), "{now} + {wait}");
            }
        }
    }

    #[test]
    fn after_two_windows_and_after_a_clock_that_was_set_back_nothing_is_counted() {
        let mut window = Window::default();
        while admits(&mut window, 600_000) {}
        for now in [720_000, 0] {
            assert_eq!(window.at(now, QUOTA).standing(now, QUOTA), Standing { remaining: 10, wait_ms: 0 });
        }
    }
}
