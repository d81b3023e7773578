use std::net::IpAddr;
use std::sync::Arc;

use slipway_db::Database;
use slipway_jwt::SecretKey;
use slipway_kernel::UserId;
use slipway_limits::{CounterNames, HiddenCounter, Limiter, Quota, Verdict, network};

use crate::domain::{LimitedRoute, Login};
use crate::error::AuthError;
use crate::store;

const NETWORK: &str = "session-network";
/// What counters are by.
const ADDRESS: &str = "address";
const ACCOUNT: &str = "account";
const PAIR: &str = "pair";

/// Tells networks of people apart, without their addresses being kept.
#[derive(Clone)]
pub(crate) struct Networks(Arc<SecretKey>);

/// How often the routes for everybody may be asked (ADR 25).
#[derive(Clone)]
pub(crate) struct Limits {
    limiter: Limiter,
    names: CounterNames,
    networks: Networks,
    db: Database,
}

/// Who asks, as far as that can be told: from where, and for which account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asker {
    pub(crate) address: Option<IpAddr>,
    /// As it was typed.
    pub(crate) account: Option<String>,
    /// The account, of a sign-in.
    pub(crate) login: Option<Login>,
}

/// What the limits say of a request.
#[derive(Debug)]
pub(crate) struct Limited {
    pub(crate) verdict: Verdict,
    /// The quotas that were asked for, each with what it is by.
    pub(crate) policy: Vec<(&'static str, Quota)>,
    pair: Option<(LimitedRoute, String)>,
}

impl Networks {
    pub(crate) fn new(key: Arc<SecretKey>) -> Self {
        Self(key)
    }

    /// Digests the network of a person's address.
    pub(crate) fn digest(&self, person: UserId, address: IpAddr) -> [u8; 32] {
        self.0.digest(NETWORK, format!("{person} {}", network(address)).as_bytes())
    }
}

/// One counter: what it is by, the value of that, and its quota.
type Counter = (&'static str, String, Quota);

impl Limits {
    pub(crate) fn new(limiter: Limiter, key: Arc<SecretKey>, db: Database) -> Self {
        Self { limiter, networks: Networks::new(Arc::clone(&key)), names: CounterNames::new(key), db }
    }

    /// Counts a request, where there is room for it. A sign-in to an account whose own quota is used up by others is let
    /// in from where its owner has signed in before.
    pub(crate) async fn count(&self, route: LimitedRoute, asker: &Asker) -> Result<Limited, AuthError> {
        let mut counters = counters(route, asker);
        let mut verdict = self.ask(route, &counters).await;
        let is_of_account = counters.get(verdict.tightest).is_some_and(|(by, ..)| *by == ACCOUNT);
        if !verdict.is_admitted && is_of_account && self.is_known(asker).await? {
            counters.retain(|(by, ..)| *by != ACCOUNT);
            verdict = self.ask(route, &counters).await;
        }
        let pair = counters.iter().find(|(by, ..)| *by == PAIR).map(|(_, value, _)| (route, value.clone()));
        let policy = counters.into_iter().map(|(by, _, quota)| (by, quota)).collect();
        Ok(Limited { verdict, policy, pair })
    }

    /// Forgets the tries of whoever knew the password after all.
    pub(crate) async fn welcome(&self, limited: &Limited) {
        if let Some((route, pair)) = &limited.pair {
            self.limiter.forget(&self.counter(*route, PAIR, pair)).await;
        }
    }

    async fn ask(&self, route: LimitedRoute, counters: &[Counter]) -> Verdict {
        let counters = counters.iter();
        let wanted: Vec<_> =
            counters.map(|(by, value, quota)| (self.counter(route, by, value), *quota)).collect();
        self.limiter.count(&wanted).await
    }

    fn counter<'a>(&'a self, route: LimitedRoute, by: &'a str, value: &'a str) -> HiddenCounter<'a> {
        self.names.counter(route.counters(), by, value.as_bytes())
    }

    async fn is_known(&self, asker: &Asker) -> Result<bool, AuthError> {
        let Some((login, address)) = asker.login.clone().zip(asker.address) else { return Ok(false) };
        let networks = self.networks.clone();
        self.db
            .run("session.knows_network", move |connection| {
                let Some(found) = store::users::find_credentials(connection, &login)? else {
                    return Ok(false);
                };
                let digest = networks.digest(found.user.id, address);
                Ok(store::sessions::network_exists(connection, found.user.id, &digest)?)
            })
            .await
    }
}

/// Returns the counters that a request is counted in.
fn counters(route: LimitedRoute, asker: &Asker) -> Vec<Counter> {
    let quotas = route.quotas();
    let address = asker.address.map(network);
    let account = asker.account.as_deref().map(|account| account.trim().to_lowercase());
    let pair = address.clone().zip(account.clone()).map(|(address, account)| format!("{address} {account}"));
    [(ADDRESS, Some(quotas.address), address), (ACCOUNT, quotas.account, account), (PAIR, quotas.pair, pair)]
        .into_iter()
        .filter_map(|(by, quota, value)| Some((by, value?, quota?)))
        .collect()
}
