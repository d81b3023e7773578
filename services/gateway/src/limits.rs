//! How often callers may ask (ADR 26): whoever is known by account, everybody else by address.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use slipway_kernel::UserId;
use slipway_limits::{CounterNames, Limiter, Quota, Verdict, network, policy};

/// What the counters are of, in Redis; those of a class have its name too.
const GROUP: &str = "gateway";
/// What quotas are of, in seconds.
pub(crate) const MINUTE: u64 = 60;
/// The largest quota.
pub(crate) const MAX_LIMIT: u32 = 10_000_000;

/// How often callers may ask, and how often they have.
pub(crate) struct Limits {
    pub(crate) limiter: Limiter,
    /// Names the counters.
    pub(crate) names: CounterNames,
    /// What holds where a route names no class.
    pub(crate) usual: LimitClass,
    /// Networks that have used up what they may ask of a class, and until when.
    pub(crate) used_up: Cache<(String, String), Instant>,
}

/// How often the routes of a class may be asked together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LimitClass {
    pub(crate) name: Box<str>,
    /// What its counters are of.
    group: String,
    /// For each address of callers who are not known.
    address: Stated,
    /// For each account.
    account: Stated,
}

/// A quota, and what answers say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stated {
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
    fn new(name: &'static str, quota: Quota) -> Self {
        Self { quota, name, policy: policy(std::iter::once((name, quota))).into() }
    }
}

impl LimitClass {
    /// Makes a class of routes that name it.
    pub(crate) fn new(name: &str, per_address: Quota, per_account: Quota) -> Self {
        Self { group: format!("{GROUP}:{name}"), name: name.into(), ..Self::usual(per_address, per_account) }
    }

    /// Makes the one of routes that name none.
    pub(crate) fn usual(per_address: Quota, per_account: Quota) -> Self {
        Self {
            name: Box::default(),
            group: GROUP.to_owned(),
            address: Stated::new("address", per_address),
            account: Stated::new("account", per_account),
        }
    }
}

impl Limits {
    /// Counts a request, where there is room for it.
    pub(crate) async fn count(&self, class: &LimitClass, asker: Asker) -> Limited {
        let group = class.group.as_str();
        let (quota, verdict) = match asker {
            Asker::Account(user) => {
                let user = user.as_uuid();
                let counter = self.names.counter(group, "account", user.as_bytes());
                (&class.account, self.limiter.count(&[(counter, class.account.quota)]).await)
            }
            Asker::Address(address) => {
                let network = network(address);
                let counter = self.names.counter(group, "address", network.as_bytes());
                (&class.address, self.limiter.count(&[(counter, class.address.quota)]).await)
            }
        };
        let limited = Limited { verdict, quota: quota.clone() };
        if let (Asker::Address(address), Some(wait)) = (asker, limited.refused()) {
            let until = Instant::now() + Duration::from_secs(wait.into());
            self.used_up.insert((class.group.clone(), network(address)), until);
        }
        limited
    }

    /// Tells for how long, in seconds, an address has used up what it may ask of a class.
    pub(crate) fn used_up(&self, class: &LimitClass, address: IpAddr) -> Option<u32> {
        if self.used_up.is_empty() {
            return None;
        }
        let until = self.used_up.get(&(class.group.clone(), network(address)))?;
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
    pub(crate) fn told(&self) -> (&str, String) {
        (&self.quota.policy, self.verdict.left(self.quota.name))
    }
}
