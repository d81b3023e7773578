use std::time::Duration;

/// Times of one kind of call.
#[derive(Default)]
pub(crate) struct Figures(Vec<Duration>);

impl Figures {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the time that a share of the calls stayed within, by the nearest rank.
    pub(crate) fn at(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
        #[expect(clippy::cast_precision_loss, reason = "there are few thousands")]
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub(crate) fn print(&self, what: &str) {
        let milliseconds = |share| self.at(share).as_secs_f64() * 1e3;
        println!("  {what:<32}{:>8.3} ms {:>8.3} ms", milliseconds(0.5), milliseconds(0.99));
    }
}

/// Says whether a target was met.
pub(crate) fn target(what: &str, met: bool) {
    println!("  target: {what}: {}", if met { "met" } else { "MISSED" });
}
