//! What answers say of limits: the fields of the IETF's draft "`RateLimit` header fields for HTTP".

use std::fmt::Write as _;

use crate::{Quota, Verdict};

/// What a quota takes in the policy, and what is left of one: with names as short as ours they do not grow.
const QUOTA_BYTES: usize = 32;

/// Writes `ratelimit-policy`: quotas, each with its name. It is the same for all requests that are asked for alike.
pub fn policy<'a>(quotas: impl Iterator<Item = (&'a str, Quota)>) -> String {
    let mut stated = String::with_capacity(QUOTA_BYTES * quotas.size_hint().0);
    for (place, (name, quota)) in quotas.enumerate() {
        let separator = if place == 0 { "" } else { ", " };
        let _ = write!(stated, "{separator}\"{name}\";q={};w={}", quota.limit, quota.window.as_secs());
    }
    stated
}

impl Verdict {
    /// Returns how long to wait, in whole seconds, rounded up: who comes then is let in.
    pub fn wait_seconds(&self) -> u32 {
        u32::try_from(self.wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
    }

    /// Writes `ratelimit`: what is left of the tightest quota, whose name is given.
    pub fn left(&self, tightest: &str) -> String {
        let mut left = String::with_capacity(QUOTA_BYTES);
        let mut digits = [itoa::Buffer::new(); 2];
        let [remaining, wait] = &mut digits;
        for part in [
            "\"",
            tightest,
            "\";r=",
            remaining.format(self.remaining),
            ";t=",
            wait.format(self.wait_seconds()),
        ] {
            left.push_str(part);
        }
        left
    }

    /// Writes the headers `ratelimit-policy` and `ratelimit`. The quotas are those that were asked for, in order, each
    /// with its name.
    pub fn headers<'a>(
        &self,
        quotas: impl Iterator<Item = (&'a str, Quota)> + Clone,
    ) -> [(&'static str, String); 2] {
        let tightest = quotas.clone().nth(self.tightest).map(|(name, _)| name).unwrap_or_default();
        [("ratelimit-policy", policy(quotas)), ("ratelimit", self.left(tightest))]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_quota_is_stated_and_the_tightest_is_what_is_left() {
        let wait = Duration::from_millis(1_001);
        let verdict = Verdict { is_admitted: false, tightest: 1, remaining: 0, wait };
        let policy = [("address", Quota::new(60, 60)), ("pair", Quota::new(10, 300))];
        assert_eq!(
            verdict.headers(policy.into_iter()),
            [
                ("ratelimit-policy", r#""address";q=60;w=60, "pair";q=10;w=300"#.to_owned()),
                ("ratelimit", r#""pair";r=0;t=2"#.to_owned())
            ]
        );
    }
}
