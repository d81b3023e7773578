//! How often callers may ask (ADR 26): whoever is known by account, everybody else by address.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use slipway_kernel::UserId;
use slipway_limits::{CounterNames, Limiter, Quota, Verdict, network, policy};

/// What the counters are of, in Redis.
const GROUP: &str = "gateway";

/// How often callers may ask, and how often they have.
pub(crate) struct Limits {
    pub(crate) limiter: Limiter,
    /// Names the counters.
    pub(crate) names: CounterNames,
    /// For each address of callers who are not known.
    pub(crate) address: Stated,
    /// For each account.
    pub(crate) account: Stated,
    /// Networks that have used up what they may ask, and until when.
    pub(crate) used_up: Cache<String, Instant>,
}

/// A quota, and what answers say of it.
#[derive(Debug, Clone)]
pub(crate) struct Stated {
    quota: Quota,
    name: &'static str,
    policy: Arc<str>,
}

/// Who a request is counted for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker {
    /// Whoever showed a valid credential.
    Account(UserId),
    /// Everybody else.
    Address(IpAddr),
}

/// What the limit says of a request.
pub(crate) struct Limited {
    verdict: Verdict,
    quota: Stated,
}

impl Stated {
    pub(crate) fn new(name: &'static str, quota: Quota) -> Self {
        Self { quota, name, policy: policy(std::iter::once((name, quota))).into() }
    }
}

impl Limits {
    /// Counts a request, where there is room for it.
    pub(crate) async fn count(&self, asker: Asker) -> Limited {
        let (quota, verdict) = match asker {
            Asker::Account(user) => {
                let user = user.as_uuid();
                let counter = self.names.counter(GROUP, "account", user.as_bytes());
                (&self.account, self.limiter.count(&[(counter, self.account.quota)]).await)
            }
            Asker::Address(address) => {
                let network = network(address);
                let counter = self.names.counter(GROUP, "address", network.as_bytes());
                (&self.address, self.limiter.count(&[(counter, self.address.quota)]).await)
            }
        };
        let limited = Limited { verdict, quota: quota.clone() };
        if let (Asker::Address(address), Some(wait)) = (asker, limited.refused()) {
            self.used_up.insert(network(address), Instant::now() + Duration::from_secs(wait.into()));
        }
        limited
    }

    /// Tells for how long, in seconds, an address has used up what it may ask.
    pub(crate) fn used_up(&self, address: IpAddr) -> Option<u32> {
        if self.used_up.is_empty() {
            return None;
        }
        let until = self.used_up.get(&network(address))?;
        let left = until.checked_duration_since(Instant::now())?;
        u32::try_from(left.as_secs() + 1).ok()
    }
}

impl Limited {
    /// How long to wait, in seconds, where there was no room.
    pub(crate) fn refused(&self) -> Option<u32> {
        (!self.verdict.is_admitted).then(|| self.verdict.wait_seconds().max(1))
    }

    /// Says what answers do of it: `ratelimit-policy`, and `ratelimit`.
    pub(crate) fn told(&self) -> (&str, impl Display) {
        (&self.quota.policy, self.verdict.left(self.quota.name))
    }
}
