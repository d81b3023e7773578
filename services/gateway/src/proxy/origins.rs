//! What a browser may do with cookies, by where its page came from (ADR 18).

use slipway_kernel::ErrorCode;
use slipway_web::Problem;
use slipway_web::http::StatusCode;

use super::request::Request;
use crate::access::Shown;
use crate::domain::origin::{Judged, Origins};

/// Judges the origin of a request.
pub(super) fn judge(request: &Request<'_>, origins: &Origins) -> Judged {
    origins.judge(request.values("origin"), request.host())
}

/// Refuses what another site's page has a browser do with the platform's cookies: whatever is not just looking, and the
/// handshake of a WebSocket. Browsers name the origin of both; where it is missing, it is not known to be good.
///
/// The handshake is refused to other sites' pages without cookies too: nothing but its origin tells it from theirs.
pub(super) fn check(request: &Request<'_>, shown: Option<&Shown<'_>>, origin: Judged) -> Result<(), Problem> {
    let by_cookie = shown.is_some_and(|shown| shown.is_cookie);
    let is_handshake = is_handshake(request);
    let refused = match origin {
        Judged::Allowed => false,
        Judged::Absent => by_cookie && (is_handshake || !is_safe(request.method())),
        Judged::Foreign => is_handshake || by_cookie && !is_safe(request.method()),
    };
    if refused { Err(refusal()) } else { Ok(()) }
}

pub(super) fn refusal() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        ErrorCode::new("origin_refused"),
        "cookies are for pages of this host: the request's origin is not one that is allowed",
    )
}

/// RFC 9110, section 9.2.1.
fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// RFC 6455, section 4.1.
pub(super) fn is_handshake(request: &Request<'_>) -> bool {
    let names_it = |value: &[u8]| {
        value.split(|byte| *byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    };
    request.values("upgrade").any(names_it)
}
