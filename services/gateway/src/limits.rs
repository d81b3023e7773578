//! How often callers may ask (ADR 26): whoever is known by account, everybody else by address.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use slipway_jwt::SecretKey;
use slipway_kernel::UserId;
use slipway_limits::{Limiter, Quota, Verdict, network};

const COUNTER: &str = "limit-counter";
/// How much of a digest names a counter: two that meet by chance are not to be feared.
const NAME_BYTES: usize = 16;

/// How often callers may ask, and how often they have.
pub(crate) struct Limits {
    pub(crate) limiter: Limiter,
    /// Names the counters: what Redis holds tells nobody who asked.
    pub(crate) key: SecretKey,
    /// For each address of callers who are not known.
    pub(crate) address: Quota,
    /// For each account.
    pub(crate) account: Quota,
    /// Networks that have used up what they may ask, and until when.
    pub(crate) used_up: Cache<String, Instant>,
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
    policy: (&'static str, Quota),
}

impl Limits {
    /// Counts a request, where there is room for it.
    pub(crate) async fn count(&self, asker: Asker) -> Limited {
        let (policy, name) = match asker {
            Asker::Account(user) => (("account", self.account), self.name(&format!("account {user}"))),
            Asker::Address(address) => {
                (("address", self.address), self.name(&format!("address {}", network(address))))
            }
        };
        let limited = Limited { verdict: self.limiter.count(&[(name, policy.1)]).await, policy };
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

    fn name(&self, asker: &str) -> String {
        let digest = self.key.digest(COUNTER, asker.as_bytes());
        format!("slipway:limit:gateway:{}", hex::encode(&digest[..NAME_BYTES]))
    }
}

impl Limited {
    /// How long to wait, in seconds, where there was no room.
    pub(crate) fn refused(&self) -> Option<u32> {
        (!self.verdict.is_admitted).then(|| self.verdict.wait_seconds().max(1))
    }

    /// Writes what answers say of it.
    pub(crate) fn headers(&self) -> [(&'static str, String); 2] {
        self.verdict.headers(std::iter::once(self.policy))
    }
}
