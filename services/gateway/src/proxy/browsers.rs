//! What answers tell browsers: whose pages may read them (CORS, the Fetch standard), and that their type is what they say.

use slipway_web::Problem;

use super::origins;
use super::request::Request;
use super::said::Said;
use crate::domain::origin::Judged;
use crate::pages::Page;

/// What pages may ask with and for: what the contract of the API knows.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const SENT: &str = "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, traceparent, \
                    tracestate, x-api-key, x-request-id";
const READ: &str = "etag, location, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id";
/// For how long a browser may remember that it may ask.
const REMEMBERED_SECONDS: &str = "600";

/// Adds to the answer of a route of the platform's or the operator's, be it an error, what browsers need to know. Pages of
/// the origins that may use cookies may read it; others may not.
pub(super) fn protect(request: &Request<'_>, origin: Judged, is_tls: bool, said: &mut Said) {
    said.add("x-content-type-options", b"nosniff");
    said.add("vary", b"origin");
    if is_tls {
        // RFC 6797: once seen by TLS, never without it for a year.
        said.add("strict-transport-security", b"max-age=31536000");
    }
    if let (Judged::Allowed, Some(allowed)) = (origin, request.values("origin").next()) {
        said.add("access-control-allow-origin", allowed);
        said.add("access-control-allow-credentials", b"true");
        said.add("access-control-expose-headers", READ.as_bytes());
    }
}

/// Tells a browser's question whether a page may ask.
pub(super) fn is_preflight(request: &Request<'_>) -> bool {
    request.method() == "OPTIONS" && request.has("origin") && request.has("access-control-request-method")
}

/// Answers it.
pub(super) fn preflight(origin: Judged) -> Result<Page, Problem> {
    if origin != Judged::Allowed {
        return Err(origins::refusal());
    }
    let headers = vec![
        ("access-control-allow-methods", METHODS),
        ("access-control-allow-headers", SENT),
        ("access-control-max-age", REMEMBERED_SECONDS),
    ];
    Ok(Page { status: 204, headers, body: "".into() })
}
