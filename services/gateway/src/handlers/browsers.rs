//! What answers tell browsers: whose pages may read them (CORS, the Fetch standard), and that their type is what they say.

use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};
use slipway_web::{AnswerHeaders, Problem};

use super::origins;
use crate::domain::origin::Judged;

/// What pages may ask with and for: what the contract of the API knows.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const SENT: &str = "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, traceparent, \
                    tracestate, x-api-key, x-request-id";
const READ: &str = "etag, location, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id";
/// For how long a browser may remember that it may ask.
const REMEMBERED_SECONDS: &str = "600";

/// Adds to the answer of a route of the platform's or the operator's, be it an error, what browsers need to know. Pages of
/// the origins that may use cookies may read it; others may not.
pub(super) fn protect(request: &HttpRequest, origin: Judged) {
    let mut headers = vec![
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (VARY, HeaderValue::from_static("origin")),
    ];
    if let (Judged::Allowed, Some(allowed)) = (origin, request.headers().get(ORIGIN)) {
        headers.extend([
            (ACCESS_CONTROL_ALLOW_ORIGIN, allowed.clone()),
            (ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
            (ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ)),
        ]);
    }
    AnswerHeaders::add(request, headers);
}

/// Tells a browser's question whether a page may ask.
pub(super) fn is_preflight(request: &HttpRequest) -> bool {
    *request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers it.
pub(super) fn preflight(origin: Judged) -> Result<HttpResponse, Problem> {
    if origin != Judged::Allowed {
        return Err(origins::refusal());
    }
    Ok(HttpResponse::NoContent()
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, SENT))
        .insert_header((ACCESS_CONTROL_MAX_AGE, REMEMBERED_SECONDS))
        .finish())
}
