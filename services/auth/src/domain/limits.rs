use slipway_limits::Quota;

/// A route that is for everybody, and so is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitedRoute {
    Login,
    Register,
    Refresh,
    Prelogin,
    ForgotPassword,
    ResetPassword,
    VerifyEmail,
}

/// How often a route may be asked: from one network, for one account, and for one account from one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouteQuotas {
    pub(crate) address: Quota,
    pub(crate) account: Option<Quota>,
    pub(crate) pair: Option<Quota>,
}

const MINUTE: u64 = 60;
const QUARTER: u64 = 15 * MINUTE;
const HOUR: u64 = 60 * MINUTE;

impl LimitedRoute {
    /// Returns the group of the route's counters, which are all counted at once.
    pub(crate) fn counters(self) -> &'static str {
        match self {
            Self::Login => "{login}",
            Self::Register => "{register}",
            Self::Refresh => "{refresh}",
            Self::Prelogin => "{prelogin}",
            Self::ForgotPassword => "{forgot}",
            Self::ResetPassword => "{reset}",
            Self::VerifyEmail => "{verify}",
        }
    }

    /// Returns the route's quotas. Those by address leave room for many people behind one address. That of a pair is
    /// tighter than that of the account: who guesses from one place is stopped before anybody else is.
    pub(crate) fn quotas(self) -> RouteQuotas {
        let quotas = |address, account, pair| RouteQuotas { address, account, pair };
        match self {
            Self::Login => quotas(
                Quota::new(60, MINUTE),
                Some(Quota::new(100, QUARTER)),
                Some(Quota::new(10, 5 * MINUTE)),
            ),
            Self::Prelogin => quotas(
                Quota::new(60, MINUTE),
                Some(Quota::new(200, QUARTER)),
                Some(Quota::new(30, 5 * MINUTE)),
            ),
            Self::Register => {
                quotas(Quota::new(30, HOUR), Some(Quota::new(10, HOUR)), Some(Quota::new(5, HOUR)))
            }
            Self::ForgotPassword => {
                quotas(Quota::new(30, HOUR), Some(Quota::new(6, HOUR)), Some(Quota::new(3, HOUR)))
            }
            Self::Refresh => quotas(Quota::new(600, MINUTE), None, None),
            Self::ResetPassword => quotas(Quota::new(30, HOUR), None, None),
            Self::VerifyEmail => quotas(Quota::new(60, HOUR), None, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_from_one_place_is_stopped_first() {
        let rate = |quota: Quota| f64::from(quota.limit) / quota.window.as_secs_f64();
        for route in [
            LimitedRoute::Login,
            LimitedRoute::Prelogin,
            LimitedRoute::Register,
            LimitedRoute::ForgotPassword,
        ] {
            let RouteQuotas { account, pair, .. } = route.quotas();
            let (account, pair) = (account.unwrap(), pair.unwrap());
            assert!(pair.limit < account.limit && rate(pair) < rate(account), "{route:?}");
        }
    }
}
