//! What answers say of limits: the fields of the IETF's draft "`RateLimit` header fields for HTTP".

use std::fmt::Write as _;

use crate::{Quota, Verdict};

impl Verdict {
    /// Returns how long to wait, in whole seconds, rounded up: who comes then is let in.
    pub fn wait_seconds(&self) -> u32 {
        u32::try_from(self.wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
    }

    /// Writes the headers `ratelimit-policy` and `ratelimit`. `policy` names the quotas that were asked for, in order.
    pub fn headers<'a>(&self, policy: impl Iterator<Item = (&'a str, Quota)>) -> [(&'static str, String); 2] {
        let (mut stated, mut tightest) = (String::new(), "");
        for (place, (name, quota)) in policy.enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            let _ = write!(stated, "{separator}\"{name}\";q={};w={}", quota.limit, quota.window.as_secs());
            if place == self.tightest {
                tightest = name;
            }
        }
        let left = format!("\"{tightest}\";r={};t={}", self.remaining, self.wait_seconds());
        [("ratelimit-policy", stated), ("ratelimit", left)]
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
