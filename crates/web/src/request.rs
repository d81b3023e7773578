//! Around every request: its id, its span, its line in the log, its metrics, and the body of its problem.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use slipway_kernel::{ErrorCode, RequestId};
use slipway_telemetry::{IncomingRequest, Metrics, end_request, is_routine, request_span};
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::Problem;

/// For how many more milliseconds the gateway waits for the answer.
pub const TIMEOUT_HEADER: &str = "x-slipway-timeout-ms";

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID: usize = 64;
const UNMATCHED: &str = "unmatched";

/// The service's name, for spans.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceName(pub(crate) &'static str);

/// The id of the request, as its answer and its log lines carry it.
#[derive(Debug, Clone)]
pub struct RequestIdText(String);

impl RequestIdText {
    /// Returns the id of a request that came through a service's listener.
    pub fn of(request: &HttpRequest) -> Self {
        request.extensions().get().cloned().unwrap_or_else(|| Self(String::new()))
    }

    /// Returns the id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the id that a caller gave, where it is one that is safe to repeat; makes one otherwise.
    fn accept(headers: &HeaderMap) -> Self {
        Self::choose(headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok()))
    }

    /// Takes the id given, where it is one that is safe to repeat; makes one otherwise.
    pub fn choose(given: Option<&str>) -> Self {
        let safe = |id: &&str| {
            (1..=MAX_REQUEST_ID).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        Self(given.filter(safe).map_or_else(|| RequestId::generate().to_string(), str::to_owned))
    }

    fn put(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(REQUEST_ID.clone(), value);
        }
    }
}

/// Says that an answer of 5xx is what a user's own code came to, and no fault of the platform's: put it into the
/// request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct UsersOutcome;

/// Headers that the answer gets, be it an error.
#[derive(Debug, Default)]
pub struct AnswerHeaders(Vec<(HeaderName, HeaderValue)>);

impl AnswerHeaders {
    /// Adds headers to the answer of a request.
    pub fn add(request: &HttpRequest, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) {
        let mut extensions = request.extensions_mut();
        if let Some(Self(before)) = extensions.get_mut() {
            before.extend(headers);
        } else {
            extensions.insert(Self(headers.into_iter().collect()));
        }
    }

    /// Adds headers that are known as text. A value that no header can hold is left out.
    pub fn add_text(request: &HttpRequest, headers: impl IntoIterator<Item = (&'static str, String)>) {
        let header = |(name, value): (&'static str, String)| {
            Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?))
        };
        Self::add(request, headers.into_iter().filter_map(header));
    }
}

pub(crate) async fn request_scope<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let since = Instant::now();
    let id = RequestIdText::accept(request.headers());
    let method = request.method().clone();
    let text = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let span = request_span(&IncomingRequest {
        service: request.app_data::<ServiceName>().map_or("", |name| name.0),
        method: method.as_str(),
        request_id: id.as_str(),
        traceparent: text("traceparent"),
        tracestate: text("tracestate"),
    });
    let within = text(TIMEOUT_HEADER).and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let in_flight = request.app_data::<Data<Metrics>>().map(|metrics| metrics.begin_request());
    request.extensions_mut().insert(id.clone());

    let handled = AssertUnwindSafe(async {
        match within {
            None => next.call(request).await,
            Some(within) => {
                timeout(within, next.call(request)).await.unwrap_or_else(|_| Err(given_up(within).into()))
            }
        }
    });
    let handled = handled.catch_unwind();
    let answered = match handled.instrument(span.clone()).await {
        Ok(answered) => answered,
        Err(_) => Err(Problem::internal("the handler panicked").into()),
    };
    let (route, status) = match &answered {
        Ok(response) => (route_template(response.request()), response.status()),
        Err(error) => (UNMATCHED.to_owned(), error.as_response_error().status_code()),
    };
    end_request(&span, method.as_str(), &route, status.as_u16());
    if let Some(in_flight) = in_flight {
        in_flight.finish(method.as_str(), &route, status.as_u16());
    }
    span.in_scope(|| log(&answered, &route, status, since));
    match answered {
        Ok(response) => Ok(describe_problem(response, &id)),
        // Where no handler answered there is no response to change: the error brings its own.
        Err(error) => {
            let mut described = render(&error, &id);
            id.put(described.headers_mut());
            Err(InternalError::from_response(error, described).into())
        }
    }
}

/// Says that work was dropped whose answer nobody waits for.
fn given_up(within: Duration) -> Problem {
    let told =
        format!("there was no answer within the {} ms that the gateway waits for it", within.as_millis());
    Problem::new(StatusCode::GATEWAY_TIMEOUT, ErrorCode::new("deadline_exceeded"), told)
}

fn route_template(request: &HttpRequest) -> String {
    request.match_pattern().unwrap_or_else(|| UNMATCHED.to_owned())
}

/// Gives an answer its request id, and an error the body of a problem, with the id in it.
fn describe_problem<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
    id: &RequestIdText,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let described = response.response().error().map(|error| render(error, id));
    let mut response = match described {
        None => response.map_into_left_body(),
        Some(described) => {
            let (request, _) = response.into_parts();
            ServiceResponse::new(request, described.map_into_right_body())
        }
    };
    let added = response.request().extensions_mut().remove::<AnswerHeaders>();
    for (name, value) in added.into_iter().flat_map(|AnswerHeaders(headers)| headers) {
        response.headers_mut().append(name, value);
    }
    id.put(response.headers_mut());
    response
}

fn render(error: &Error, id: &RequestIdText) -> HttpResponse {
    error
        .as_error::<Problem>()
        .map_or_else(|| to_problem(error).render(id.as_str()), |problem| problem.render(id.as_str()))
}

/// Turns an error of actix itself, such as a malformed path, into a problem of the same status.
fn to_problem(error: &Error) -> Problem {
    let status = error.as_response_error().status_code();
    if status.is_server_error() {
        Problem::internal(error.to_string())
    } else {
        Problem::new(status, ErrorCode::INVALID_REQUEST, error.to_string())
    }
}

/// Writes the one line of a request. Its route and status are on the span around it.
fn log<B>(answered: &Result<ServiceResponse<B>, Error>, route: &str, status: StatusCode, since: Instant) {
    let error = answered.as_ref().map_or_else(Some, |response| response.response().error());
    let problem = error.and_then(|error| error.as_error::<Problem>());
    let code = problem.map(|problem| problem.code().as_str());
    let duration_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    let ours = answered
        .as_ref()
        .map_or(true, |response| !response.request().extensions().contains::<UsersOutcome>());
    if is_routine(route) && error.is_none() {
        tracing::debug!(duration_ms, "answered");
    } else if status.is_server_error() && ours {
        let cause = problem.and_then(Problem::cause).map(ToString::to_string);
        let cause = cause.or_else(|| error.map(ToString::to_string));
        tracing::error!(duration_ms, error.code = code, error.cause = cause, "answered");
    } else {
        tracing::info!(duration_ms, error.code = code, "answered");
    }
}
