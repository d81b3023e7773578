//! Everything that a service behind answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::StreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body::Body as _;
use hyper::body::Incoming;
use slipway_jwt::ServiceName;
use slipway_kernel::ErrorCode;
use slipway_models::api_keys::Reach;
use slipway_models::auth::{ORIGIN_ALLOWED, ORIGIN_HEADER, REFRESH_COOKIE};
use slipway_telemetry::outgoing_headers;
use slipway_web::{AnswerHeaders, Problem, RequestIdText, RouteTemplate, UsersOutcome};

use super::body::{self, Taken};
use super::{Hosts, browsers, origins};
use crate::access::{Admitted, Guard, Needed, Refusal, Shown};
use crate::api_keys::KeyFault;
use crate::domain::cookies;
use crate::domain::headers::{
    Listed, names_signing_key, passes_from_functions, passes_from_services, passes_inward, passes_outward,
};
use crate::domain::origin::{Judged, Origins};
use crate::domain::path::canonicalise;
use crate::domain::proxies::TrustedProxies;
use crate::domain::query::names_access_token;
use crate::in_flight::{InFlight, Place};
use crate::limits::{Asker, Limits};
use crate::routes::{Access, Cookies, Limit, Route, Routes};
use crate::upstream::{Client, Patience, Turn, UpstreamError, answer_stream};

/// Where an API key may stand beside `authorization`.
const API_KEY_HEADER: &str = "x-api-key";

/// Marks an answer as what a user's function came to, be it a failure.
const FUNCTION_OUTCOME: &str = "x-slipway-function-outcome";

const FORWARDED_FOR: &str = "x-forwarded-for";

/// When an account with too many requests under way may try again.
const RETRY_SECONDS: u32 = 1;

/// What decides about requests and where they go.
pub(crate) struct Behind {
    /// What goes where.
    pub(crate) routes: Arc<Routes>,
    /// How long a client may take nothing of a long answer.
    pub(crate) answer_stall: Duration,
    /// Whose pages may use cookies.
    pub(crate) origins: Origins,
    /// Who is believed on whom they forward for.
    pub(crate) trusted_proxies: TrustedProxies,
    /// What is under way.
    pub(crate) in_flight: InFlight,
    /// How often callers may ask; nothing where that is not limited.
    pub(crate) limits: Option<Limits>,
}

/// Passes a request on to the service that its path belongs to, with the caller's signed identity in the place of
/// all that the caller itself said of it.
pub(crate) async fn proxy(
    request: HttpRequest,
    payload: Payload,
    guard: Data<Guard>,
    behind: Data<Behind>,
    client: Data<Client>,
    hosts: Data<Hosts>,
) -> Result<HttpResponse, Problem> {
    let path =
        canonicalise(request.uri().path()).map_err(|fault| Problem::invalid_request(fault.to_string()))?;
    let is_here = |route: &Arc<Route>| {
        !hosts.are_separate() || hosts.is_functions_own(request.head()) == route.is_content
    };
    let route = behind
        .routes
        .find(&path)
        .filter(is_here)
        .ok_or_else(|| Problem::not_found("there is nothing at this path"))?;
    request.extensions_mut().insert(RouteTemplate(Arc::clone(&route.prefix)));
    let route = &*route;
    // A function's query is its own.
    if !route.is_content && request.uri().query().is_some_and(names_access_token) {
        return Err(Problem::invalid_request(
            "an access token belongs in the authorization header, not in a URL",
        ));
    }
    let origin = origins::judge(&request, &behind.origins);
    // What a function says to browsers is its own.
    if !route.is_content {
        browsers::protect(&request, origin);
        if browsers::is_preflight(&request) {
            return browsers::preflight(origin);
        }
    }
    let refresh_cookie = refresh_cookie(&request, route)?;
    let client_address = request.peer_addr().map(|peer| client_address(&request, peer.ip(), &behind));
    let admitted = admit(&request, &guard, route, origin, refresh_cookie).await;
    limit(&request, &behind, route, admitted.as_ref().ok().and_then(Option::as_ref), client_address).await?;
    let caller = admitted?;
    let place = caller.as_ref().map(|caller| behind.in_flight.enter(caller.user_id)).transpose();
    let place = place.map_err(|fault| {
        let code = ErrorCode::new("too_many_in_flight");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, code, fault.to_string()).retry_after(RETRY_SECONDS)
    })?;
    let (body, length) = body::take(&request, payload, route).await?;
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut head = Request::new(()).into_parts().0;
    head.method = method(request.method())?;
    head.uri = format!("{path}{query}")
        .parse()
        .map_err(|_| Problem::invalid_request("the query holds a character that must be percent-encoded"))?;
    head.headers = inward(&request, route, client_address, caller.as_ref(), length)?;
    add_cookies(&mut head.headers, route, origin, refresh_cookie)?;
    let (answer, turn) = ask(&client, route, head, body).await?;
    if answer.headers().contains_key(FUNCTION_OUTCOME) {
        request.extensions_mut().insert(UsersOutcome);
    }
    let patience = Patience { with_service: route.timeout, with_client: behind.answer_stall };
    let content = route.is_content.then(|| Content { is_beside_platform: !hosts.are_separate() });
    Ok(outward(answer, request.method(), patience, content, (place, turn)))
}

/// Asks a replica of the route's service, and where that comes to nothing before an answer, perhaps another: once, and only
/// where it cannot be that both do what was asked.
async fn ask(
    client: &Client,
    route: &Route,
    head: Parts,
    body: Taken,
) -> Result<(Response<Incoming>, Turn), Problem> {
    let replicas = &route.service.replicas;
    let none = |fault| Problem::unavailable(format!("{}: {fault}", route.service.name));
    let turn = replicas.choose(Instant::now()).map_err(none)?;
    let spare = if replicas.are_several() { body.again().map(|body| (head.clone(), body)) } else { None };
    let repeats = is_idempotent(&head.method);
    let (mut outcome, mut asked) = (send(client, route, &turn, head, body).await?, turn);
    let is_lost = |fault: &UpstreamError| match fault {
        UpstreamError::Unreachable(_) => true,
        UpstreamError::Broken(_) => repeats,
        _ => false,
    };
    if let Some((head, body)) = spare
        && outcome.as_ref().is_err_and(is_lost)
        && let Some(other) = replicas.choose_again(&asked, Instant::now())
    {
        (outcome, asked) = (send(client, route, &other, head, body).await?, other);
    }
    let answer = outcome.map_err(|fault| unanswered(&fault, &route.service.name, route))?;
    Ok((answer, asked))
}

/// Sends a request to one replica, and notes what that says of it.
async fn send(
    client: &Client,
    route: &Route,
    turn: &Turn,
    mut head: Parts,
    body: Taken,
) -> Result<Result<Response<Incoming>, UpstreamError>, Problem> {
    let mut uri = head.uri.into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(turn.authority().clone());
    head.uri = Uri::from_parts(uri).map_err(Problem::internal)?;
    let outcome = client.send(Request::from_parts(head, body.into_body()), route.timeout).await;
    match &outcome {
        // Where there is no other, some request that it fails on must not keep it from all the rest.
        Ok(answer) if route.service.replicas.are_several() && is_own_failure(answer) => {
            turn.failed(Instant::now());
        }
        Ok(_) => turn.succeeded(),
        // The client's doing.
        Err(UpstreamError::Body(_)) => {}
        Err(_) => turn.failed(Instant::now()),
    }
    Ok(outcome)
}

/// Tells a failure of the service from what a user's function came to, and from a service that says when to come again.
fn is_own_failure(answer: &Response<Incoming>) -> bool {
    let (status, headers) = (answer.status(), answer.headers());
    let is_busy = status == http::StatusCode::SERVICE_UNAVAILABLE && headers.contains_key(RETRY_AFTER);
    status.is_server_error() && !is_busy && !headers.contains_key(FUNCTION_OUTCOME)
}

/// RFC 9110, section 9.2.2.
fn is_idempotent(method: &http::Method) -> bool {
    [http::Method::GET, http::Method::HEAD, http::Method::OPTIONS, http::Method::PUT, http::Method::DELETE]
        .contains(method)
}

/// Finds where a request comes from, through the proxies that are believed.
fn client_address(request: &HttpRequest, peer: IpAddr, behind: &Behind) -> IpAddr {
    let told = request.headers().get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok());
    behind.trusted_proxies.client(peer, told)
}

/// Counts a request, be it one that is refused for what it shows, and refuses one too many.
async fn limit(
    request: &HttpRequest,
    behind: &Behind,
    route: &Route,
    caller: Option<&Admitted>,
    client_address: Option<IpAddr>,
) -> Result<(), Problem> {
    let Some(limits) = behind.limits.as_ref().filter(|_| route.limit == Limit::Usual) else { return Ok(()) };
    let asker = caller.map(|caller| Asker::Account(caller.user_id)).or(client_address.map(Asker::Address));
    let Some(asker) = asker else { return Ok(()) };
    let limited = limits.count(asker).await;
    AnswerHeaders::add_text(request, limited.headers());
    match limited.refused() {
        None => Ok(()),
        Some(wait) => {
            let told = "too many requests: wait for as long as retry-after says";
            let code = ErrorCode::new("rate_limited");
            Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, code, told).retry_after(wait))
        }
    }
}

async fn admit(
    request: &HttpRequest,
    guard: &Guard,
    route: &Route,
    origin: Judged,
    refresh_cookie: Option<&str>,
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
    let admitted = match shown {
        Ok(shown) => guard.admit(shown, needed, &route.service.name).await,
        Err(refusal) => Err(refusal),
    };
    match admitted {
        Err(Refusal::NoToken | Refusal::NotGranted(_) | Refusal::OutOfScope)
            if matches!(route.access, Access::Optional(_)) =>
        {
            Ok(None)
        }
        Err(Refusal::NoToken | Refusal::Token(_)) if is_known_by(refresh_cookie, request) => Ok(None),
        admitted => admitted.map(Some).map_err(refuse),
    }
}

/// Tells how far an API key has to reach for a request.
fn reach(request: &HttpRequest, route: &Route) -> Reach {
    match *request.method() {
        _ if route.is_content => Reach::Invoke,
        Method::GET | Method::HEAD | Method::OPTIONS => Reach::Read,
        _ => Reach::Write,
    }
}

/// Reads the credential that a request shows. What users' functions answer takes no cookies.
fn shown<'a>(request: &'a HttpRequest, route: &Route) -> Result<Shown<'a>, Refusal> {
    let authorization = request.headers().get_all(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    let api_keys = request.headers().get_all(API_KEY_HEADER).map(header::HeaderValue::as_bytes);
    let cookies = cookies(request).filter(|_| !route.is_content);
    Shown::read(authorization, api_keys, cookies)
}

fn cookies(request: &HttpRequest) -> impl Iterator<Item = &[u8]> {
    request.headers().get_all(header::COOKIE).map(header::HeaderValue::as_bytes)
}

/// Tells a browser whose access token is over, on a route that takes its refresh token instead: the service decides.
fn is_known_by(refresh_cookie: Option<&str>, request: &HttpRequest) -> bool {
    refresh_cookie.is_some() && !request.headers().contains_key(header::AUTHORIZATION)
}

/// Finds the refresh token for a route that may have it.
fn refresh_cookie<'a>(request: &'a HttpRequest, route: &Route) -> Result<Option<&'a str>, Problem> {
    if route.cookies == Cookies::RefreshToken {
        cookies::find(cookies(request), REFRESH_COOKIE).map_err(|fault| refuse(fault.into()))
    } else {
        Ok(None)
    }
}

/// Tells auth what it may know of cookies. It hears nothing of them from anybody else: see [`passes_inward`].
fn add_cookies(
    headers: &mut HeaderMap,
    route: &Route,
    origin: Judged,
    refresh_token: Option<&str>,
) -> Result<(), Problem> {
    if route.cookies != Cookies::Kept && origin == Judged::Allowed {
        headers.insert(HeaderName::from_static(ORIGIN_HEADER), HeaderValue::from_static(ORIGIN_ALLOWED));
    }
    if let Some(token) = refresh_token {
        headers.insert(COOKIE, text(&format!("{REFRESH_COOKIE}={token}"))?);
    }
    Ok(())
}

fn method(method: &Method) -> Result<http::Method, Problem> {
    match *method {
        Method::CONNECT | Method::TRACE => Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::METHOD_NOT_ALLOWED,
            "the platform takes neither CONNECT nor TRACE",
        )),
        _ => http::Method::from_bytes(method.as_str().as_bytes())
            .map_err(|_| Problem::invalid_request("the method cannot be read")),
    }
}

/// Makes the headers that the service sees.
fn inward(
    request: &HttpRequest,
    route: &Route,
    client_address: Option<IpAddr>,
    caller: Option<&Admitted>,
    length: Option<u64>,
) -> Result<HeaderMap, Problem> {
    let given = request.headers();
    let listed = Listed::in_connection(given.get_all(header::CONNECTION).map(header::HeaderValue::as_bytes));
    let mut headers = HeaderMap::with_capacity(given.len() + 6);
    for (name, value) in given {
        let signs = route.is_content && names_signing_key(name.as_str(), value.as_bytes(), &listed);
        if signs || passes_inward(name.as_str(), &listed) {
            copy(&mut headers, name.as_str(), value.as_bytes());
        }
    }
    for (name, value) in outgoing_headers() {
        headers.insert(HeaderName::from_static(name), text(&value)?);
    }
    headers.insert(HeaderName::from_static("x-request-id"), text(RequestIdText::of(request).as_str())?);
    if let Some(address) = client_address {
        headers.insert(HeaderName::from_static(FORWARDED_FOR), text(&address.to_string())?);
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    if let Some(caller) = caller {
        headers.insert(AUTHORIZATION, text(&format!("Bearer {}", caller.identity))?);
        headers.insert(HeaderName::from_static("x-user-id"), text(&caller.user_id.to_string())?);
    }
    Ok(headers)
}

/// What a users' function answers: hostile content.
#[derive(Clone, Copy)]
struct Content {
    /// Whether it is answered on the platform's own host name: a browser takes the two for one then.
    is_beside_platform: bool,
}

/// Makes the answer that the client sees. The request keeps its `places` until its end.
fn outward(
    answer: Response<Incoming>,
    method: &Method,
    patience: Patience,
    content: Option<Content>,
    places: (Option<Place>, Turn),
) -> HttpResponse {
    let (head, body) = answer.into_parts();
    let status = StatusCode::from_u16(head.status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponseBuilder::new(status);
    let listed = Listed::in_connection(
        head.headers.get_all(http::header::CONNECTION).iter().map(HeaderValue::as_bytes),
    );
    for (name, value) in &head.headers {
        let is_let_through = match content {
            Some(_) => passes_from_functions(name.as_str()),
            None => passes_from_services(name.as_str()),
        };
        if is_let_through && passes_outward(name.as_str(), &listed) {
            response.append_header((name.as_str(), value.as_bytes()));
        }
    }
    if content.is_some_and(|content| content.is_beside_platform) {
        // Beside a policy of the function's own: of several a browser keeps to each.
        response.append_header((header::CONTENT_SECURITY_POLICY, "sandbox"));
    }
    // An answer to HEAD states the length of a body that it does not have.
    let stated = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length = if *method == Method::HEAD { stated } else { body.size_hint().exact() };
    let stream = answer_stream(body, patience).inspect(move |_| {
        let _until_the_end = &places;
    });
    match length {
        Some(length) => response.body(SizedStream::new(length, stream)),
        None => response.body(BodyStream::new(stream)),
    }
}

/// Copies a header between two versions of one library: what the one has read, the other reads too.
fn copy(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}

fn text(value: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(value).map_err(Problem::internal)
}

/// RFC 6750, section 3.
fn refuse(refusal: Refusal) -> Problem {
    let challenge = |value: String| {
        let value = header::HeaderValue::from_str(&value);
        (header::WWW_AUTHENTICATE, value.unwrap_or(header::HeaderValue::from_static("Bearer")))
    };
    match refusal {
        Refusal::NoToken => {
            let (name, value) = challenge(r#"Bearer realm="slipway""#.to_owned());
            Problem::unauthenticated(refusal.to_string()).header(name, value)
        }
        Refusal::Token(fault) => {
            let (name, value) = challenge(format!(
                r#"Bearer realm="slipway", error="invalid_token", error_description="{fault}""#
            ));
            Problem::unauthenticated(fault.to_string()).coded(fault.code()).header(name, value)
        }
        Refusal::Key(KeyFault::Unknown) => {
            let (name, value) = challenge(r#"Bearer realm="slipway", error="invalid_token""#.to_owned());
            let problem = Problem::unauthenticated(refusal.to_string()).header(name, value);
            problem.coded(ErrorCode::new("api_key_invalid"))
        }
        Refusal::Key(KeyFault::TooMany) => {
            let told = refusal.to_string();
            Problem::unavailable(refusal).coded(ErrorCode::new("overloaded")).detailed(told)
        }
        Refusal::Key(KeyFault::NotTold(_)) => Problem::unavailable(refusal),
        Refusal::OutOfScope => {
            let (name, value) = challenge(r#"Bearer realm="slipway", error="insufficient_scope""#.to_owned());
            let problem = Problem::forbidden(refusal.to_string()).header(name, value);
            problem.coded(ErrorCode::new("insufficient_scope"))
        }
        Refusal::NotGranted(_) => Problem::forbidden(refusal.to_string()),
        Refusal::Several | Refusal::Doubled(_) => Problem::invalid_request(refusal.to_string()),
        Refusal::Stale(fault) => Problem::unavailable(fault),
        Refusal::Signing(fault) => Problem::internal(fault),
    }
}

fn unanswered(fault: &UpstreamError, service: &ServiceName, route: &Route) -> Problem {
    let failed = |status, code, detail: &str| Problem::new(status, ErrorCode::new(code), detail.to_owned());
    let cause = format!("{service}: {fault}");
    match fault {
        UpstreamError::Body(fault) => body::problem(*fault, route),
        UpstreamError::Unreachable(_) => Problem::unavailable(cause),
        UpstreamError::TimedOut(_) => failed(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "the service behind did not answer in time; whether the request took effect is not known",
        )
        .caused_by(cause),
        UpstreamError::Broken(_) | UpstreamError::Answer(_) => failed(
            StatusCode::BAD_GATEWAY,
            "upstream_failed",
            "the service behind ended the connection before it answered; whether the request took effect is not known",
        )
        .caused_by(cause),
    }
}
