//! The limits of routes that are for everybody, and what answers say of them.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use slipway_kernel::ErrorCode;
use slipway_web::{AnswerHeaders, Problem, RequestOrigin};

use crate::domain::{LimitedRoute, Login};
use crate::service::{Asker, Limited, Limits};

/// A request on a route that is limited. Without limits in the app's data none is.
pub(crate) struct Gate {
    limits: Option<Data<Limits>>,
    request: HttpRequest,
}

/// A request that was let in.
pub(crate) struct Pass(Option<(Data<Limits>, Limited)>);

impl FromRequest for Gate {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let limits = request.app_data::<Data<Limits>>().cloned();
        ready(Ok(Self { limits, request: request.clone() }))
    }
}

impl Gate {
    /// Lets a request in that names no account.
    pub(crate) async fn admit(&self, route: LimitedRoute) -> Result<Pass, Problem> {
        self.admit_asker(route, Asker { address: self.address(), ..Asker::default() }).await
    }

    /// Lets a request in that is about an account, by the text that names it.
    pub(crate) async fn admit_for(&self, route: LimitedRoute, account: &str) -> Result<Pass, Problem> {
        let account = Some(account.to_owned());
        self.admit_asker(route, Asker { address: self.address(), account, login: None }).await
    }

    /// Lets a sign-in in.
    pub(crate) async fn admit_login(&self, account: &str, login: Option<Login>) -> Result<Pass, Problem> {
        let account = Some(account.to_owned());
        self.admit_asker(LimitedRoute::Login, Asker { address: self.address(), account, login }).await
    }

    fn address(&self) -> Option<IpAddr> {
        RequestOrigin::address_of(&self.request)
    }

    async fn admit_asker(&self, route: LimitedRoute, asker: Asker) -> Result<Pass, Problem> {
        let Some(limits) = &self.limits else { return Ok(Pass(None)) };
        let limited = limits.count(route, &asker).await?;
        let headers = limited.verdict.headers(limited.policy.iter().copied());
        AnswerHeaders::add_text(&self.request, headers);
        if limited.verdict.is_admitted {
            return Ok(Pass(Some((limits.clone(), limited))));
        }
        let told = "too many requests of this kind: wait for as long as retry-after says";
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::new("rate_limited"), told)
            .retry_after(limited.verdict.wait_seconds().max(1)))
    }
}

impl Pass {
    /// Forgets the tries of whoever knew the password after all.
    pub(crate) async fn welcome(&self) {
        if let Some((limits, limited)) = &self.0 {
            limits.welcome(limited).await;
        }
    }
}
