//! Whether a request passes, and as whose.

use std::net::IpAddr;
use std::sync::Arc;

use slipway_http1::Body;
use slipway_kernel::ErrorCode;
use slipway_models::api_keys::Reach;
use slipway_models::auth::REFRESH_COOKIE;
use slipway_web::Problem;
use slipway_web::http::StatusCode;

use super::inward::{Plan, Sender};
use super::request::Request;
use super::{Exchange, browsers, origins, problems};
use crate::access::{Admitted, Needed, Refusal, Shown};
use crate::domain::cookies;
use crate::domain::origin::Judged;
use crate::domain::path::canonicalise;
use crate::domain::query::names_access_token;
use crate::in_flight::TooMany;
use crate::limits::{Asker, LimitClass, Limits};
use crate::pages::{self, Page};
use crate::routes::{Access, Cookies, Limit, Route, own_page};
use crate::rules::Rules;

/// Where an API key may stand beside `authorization`.
const API_KEY_HEADER: &str = "x-api-key";
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The one expectation that there is (RFC 9110, section 10.1.1).
const CONTINUE: &[u8] = b"100-continue";
/// When to try again where too many requests are under way.
const RETRY_SECONDS: u32 = 1;

/// What is to become of a request.
pub(super) enum Decided {
    /// A service answers it.
    Pass(Box<Plan>),
    /// The gateway does.
    Page(Page),
}

/// Decides what becomes of a request, by its head alone.
pub(super) async fn decide(
    request: &Request<'_>,
    body: Body,
    exchange: &mut Exchange,
    rules: &Rules,
) -> Result<Decided, Problem> {
    let is_functions_own = rules.hosts.is_functions_own(request);
    if !is_functions_own && let Some(page) = own_page(request.path()) {
        exchange.route = Some(request.path().into());
        return pages::show(page, request.method(), rules).await.map(Decided::Page);
    }
    let path = canonicalise(request.path()).map_err(|fault| Problem::invalid_request(fault.to_string()))?;
    let route = rules
        .routes
        .find(&path)
        .filter(|route| !rules.hosts.are_separate() || is_functions_own == route.is_content)
        .ok_or_else(|| Problem::not_found("there is nothing at this path"))?;
    exchange.route = Some(route.prefix.clone());
    exchange.counted_by = Some(Arc::clone(&route));
    if matches!(request.method(), "CONNECT" | "TRACE") {
        return Err(problems::not_allowed());
    }
    if request.values("expect").any(|value| !value.eq_ignore_ascii_case(CONTINUE)) {
        return Err(problems::expectation_failed());
    }
    // A function's query is its own.
    if !route.is_content && request.query().is_some_and(names_access_token) {
        return Err(Problem::invalid_request(
            "an access token belongs in the authorization header, not in a URL",
        ));
    }
    let origin = origins::judge(request, &rules.origins);
    // What a function says to browsers is its own.
    if !route.is_content {
        browsers::protect(request, origin, rules.tls.is_some(), &mut exchange.said);
        if browsers::is_preflight(request) {
            return browsers::preflight(origin).map(Decided::Page);
        }
    }
    let refresh_cookie = refresh_cookie(request, &route)?;
    let client_address = client_address(request, rules);
    let admitted = admit(request, rules, &route, origin, (client_address, refresh_cookie)).await;
    let known = admitted.as_ref().ok().and_then(Option::as_ref);
    let is_switch = body == Body::Opaque && route.is_websocket;
    if !is_switch {
        limit(exchange, rules, &route, known, client_address).await?;
    }
    let caller = admitted?;
    let place = rules.in_flight.enter(caller.as_ref().map(|caller| caller.user_id), is_switch).await;
    let place = place.map_err(|fault| too_many(&fault))?;
    if matches!(body, Body::Sized(length) if length > route.body_limit) {
        return Err(Problem::body_too_large(route.body_limit));
    }
    let is_origin_told = route.cookies != Cookies::Kept && origin == Judged::Allowed;
    let sender = Sender {
        client_address,
        scheme: scheme(request, rules),
        caller,
        is_switch,
        is_origin_told,
        refresh_cookie,
    };
    let is_beside_platform = route.is_content && !rules.hosts.are_separate();
    let plan = Plan::new(request, exchange, (route, is_beside_platform), &path, body, sender, place);
    Ok(Decided::Pass(Box::new(plan)))
}

fn too_many(fault: &TooMany) -> Problem {
    let (status, code) = match fault {
        TooMany::OfAccount(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_in_flight"),
        TooMany::InAll => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
    };
    Problem::new(status, ErrorCode::new(code), fault.to_string()).retry_after(RETRY_SECONDS)
}

/// Finds where a request comes from, through the proxies that are believed.
fn client_address(request: &Request<'_>, rules: &Rules) -> IpAddr {
    let told = request.values(FORWARDED_FOR).filter_map(|value| str::from_utf8(value).ok());
    rules.trusted_proxies.client(request.peer, told)
}

/// Tells what the client speaks: to the gateway, or to the proxy before it that is believed.
fn scheme(request: &Request<'_>, rules: &Rules) -> &'static str {
    match request.text("x-forwarded-proto") {
        Some("https") if rules.trusted_proxies.trusts(request.peer) => "https",
        _ if rules.tls.is_some() => "https",
        _ => "http",
    }
}

/// Counts a request, be it one that is refused for what it shows, and refuses one too many.
async fn limit(
    exchange: &mut Exchange,
    rules: &Rules,
    route: &Route,
    caller: Option<&Admitted>,
    client_address: IpAddr,
) -> Result<(), Problem> {
    let Some((limits, class)) = limits_of(rules, route) else { return Ok(()) };
    let asker = caller.map_or(Asker::Address(client_address), |caller| Asker::Account(caller.user_id));
    let limited = limits.count(class, asker).await;
    let (policy, left) = limited.told();
    exchange.said.add("ratelimit-policy", policy.as_bytes());
    exchange.said.add("ratelimit", left.as_bytes());
    match limited.refused() {
        None => Ok(()),
        Some(wait) => {
            route.series.limited.inc();
            exchange.is_too_often = true;
            Err(problems::rate_limited(wait))
        }
    }
}

/// Finds the class that a route's requests are counted with, where they are.
fn limits_of<'a>(rules: &'a Rules, route: &'a Route) -> Option<(&'a Limits, &'a LimitClass)> {
    let limits = rules.limits.as_ref()?;
    match &route.limit {
        Limit::Usual => Some((limits, &limits.usual)),
        Limit::Class(class) => Some((limits, class)),
        Limit::None => None,
    }
}

async fn admit(
    request: &Request<'_>,
    rules: &Rules,
    route: &Route,
    origin: Judged,
    (client_address, refresh_cookie): (IpAddr, Option<&str>),
) -> Result<Option<Admitted>, Problem> {
    let needed = match route.access {
        Access::Public => return Ok(None),
        Access::SignedIn | Access::Optional(None) => None,
        Access::App(app) | Access::Optional(Some(app)) => Some(Needed { app, reach: reach(request, route) }),
    };
    let shown = shown(request, route);
    if !route.is_content {
        origins::check(request, shown.as_ref().ok(), origin)?;
    }
    if let Ok(shown) = &shown
        && let Some(wait) = refused_unseen(shown, rules, route, client_address)
    {
        return Err(problems::rate_limited(wait));
    }
    let admitted = match shown {
        Ok(shown) => rules.guard.admit(shown, needed, &route.service.name).await,
        Err(refusal) => Err(refusal),
    };
    match admitted {
        Err(Refusal::NoToken | Refusal::NotGranted(_) | Refusal::OutOfScope)
            if matches!(route.access, Access::Optional(_)) =>
        {
            Ok(None)
        }
        Err(Refusal::NoToken | Refusal::Token(_)) if is_known_by(refresh_cookie, request) => Ok(None),
        admitted => admitted.map(Some).map_err(problems::refused),
    }
}

/// Refuses a credential that was not seen before from an address that has used up what it may ask: to look at it costs what
/// a flood of them would have the gateway spend. Returns how long to wait, in seconds.
fn refused_unseen(shown: &Shown<'_>, rules: &Rules, route: &Route, client_address: IpAddr) -> Option<u32> {
    let (limits, class) = limits_of(rules, route)?;
    let wait = limits.used_up(class, client_address)?;
    (!rules.guard.has_seen(shown)).then_some(wait)
}

/// Tells how far an API key has to reach for a request.
fn reach(request: &Request<'_>, route: &Route) -> Reach {
    match request.method() {
        _ if route.is_content => Reach::Invoke,
        "GET" | "HEAD" | "OPTIONS" => Reach::Read,
        _ => Reach::Write,
    }
}

/// Reads the credential that a request shows. What users' functions answer takes no cookies.
fn shown<'a>(request: &Request<'a>, route: &Route) -> Result<Shown<'a>, Refusal> {
    let cookies = request.values("cookie").filter(|_| !route.is_content);
    Shown::read(request.values("authorization"), request.values(API_KEY_HEADER), cookies)
}

/// Tells a browser whose access token is over, on a route that takes its refresh token instead: the service decides.
fn is_known_by(refresh_cookie: Option<&str>, request: &Request<'_>) -> bool {
    refresh_cookie.is_some() && !request.has("authorization")
}

/// Finds the refresh token for a route that may have it.
fn refresh_cookie<'a>(request: &Request<'a>, route: &Route) -> Result<Option<&'a str>, Problem> {
    if route.cookies == Cookies::RefreshToken {
        cookies::find(request.values("cookie"), REFRESH_COOKIE)
            .map_err(|fault| problems::refused(fault.into()))
    } else {
        Ok(None)
    }
}
