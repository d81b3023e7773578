use std::net::IpAddr;
use std::sync::Arc;

use slipway_db::Database;
use slipway_jwt::SecretKey;
use slipway_kernel::UserId;
use slipway_limits::{Limiter, Quota, Verdict, network};

use crate::domain::{LimitedRoute, Login};
use crate::error::AuthError;
use crate::store;

const COUNTER: &str = "limit-counter";
const NETWORK: &str = "session-network";
/// How much of a digest names a counter: two that meet by chance are not to be feared.
const NAME_BYTES: usize = 16;

/// Tells networks of people apart, without their addresses being kept.
#[derive(Clone)]
pub(crate) struct Networks(Arc<SecretKey>);

/// How often the routes for everybody may be asked (ADR 25).
#[derive(Clone)]
pub(crate) struct Limits {
    limiter: Limiter,
    key: Arc<SecretKey>,
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
    pair: Option<String>,
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

/// One counter: what it is by, its name and its quota.
type Counter = (&'static str, String, Quota);

impl Limits {
    pub(crate) fn new(limiter: Limiter, key: Arc<SecretKey>, db: Database) -> Self {
        Self { limiter, networks: Networks::new(Arc::clone(&key)), key, db }
    }

    /// Counts a request, where there is room for it. A sign-in to an account whose own quota is used up by others is let
    /// in from where its owner has signed in before.
    pub(crate) async fn count(&self, route: LimitedRoute, asker: &Asker) -> Result<Limited, AuthError> {
        let mut counters = self.counters(route, asker);
        let mut verdict = self.ask(&counters).await;
        let is_of_account = counters.get(verdict.tightest).is_some_and(|(by, ..)| *by == "account");
        if !verdict.is_admitted && is_of_account && self.is_known(asker).await? {
            counters.retain(|(by, ..)| *by != "account");
            verdict = self.ask(&counters).await;
        }
        let pair = counters.iter().find(|(by, ..)| *by == "pair").map(|(_, name, _)| name.clone());
        let policy = counters.into_iter().map(|(by, _, quota)| (by, quota)).collect();
        Ok(Limited { verdict, policy, pair })
    }

    /// Forgets the tries of whoever knew the password after all.
    pub(crate) async fn welcome(&self, limited: &Limited) {
        if let Some(pair) = &limited.pair {
            self.limiter.forget(pair).await;
        }
    }

    async fn ask(&self, counters: &[Counter]) -> Verdict {
        let wanted: Vec<_> = counters.iter().map(|(_, name, quota)| (name.clone(), *quota)).collect();
        self.limiter.count(&wanted).await
    }

    fn counters(&self, route: LimitedRoute, asker: &Asker) -> Vec<Counter> {
        let quotas = route.quotas();
        let address = asker.address.map(network);
        let account = asker.account.as_deref().map(|account| account.trim().to_lowercase());
        let pair =
            address.clone().zip(account.clone()).map(|(address, account)| format!("{address} {account}"));
        [
            ("address", Some(quotas.address), address),
            ("account", quotas.account, account),
            ("pair", quotas.pair, pair),
        ]
        .into_iter()
        .filter_map(|(by, quota, value)| Some((by, self.name(route, by, &value?), quota?)))
        .collect()
    }

    /// All counters of a route lie in one slot of a Redis cluster, as one script counts them.
    fn name(&self, route: LimitedRoute, by: &str, value: &str) -> String {
        let route = route.name();
        let digest = self.key.digest(COUNTER, format!("{route} {by} {value}").as_bytes());
        format!("slipway:limit:{{{route}}}:{}", hex::encode(&digest[..NAME_BYTES]))
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
