//! The API, for programs and for people.

use super::Page;

/// The types of what is shown, and what it is.
pub(super) const OPENAPI: (&str, &str) =
    ("application/json", include_str!("../../../../proto-docs/openapi/slipway.json"));
pub(super) const PAGE: (&str, &str) = ("text/html; charset=utf-8", include_str!("../../assets/docs.html"));
pub(super) const SCRIPT: (&str, &str) =
    ("text/javascript; charset=utf-8", include_str!("../../assets/docs.js"));
pub(super) const STYLE: (&str, &str) = ("text/css; charset=utf-8", include_str!("../../assets/docs.css"));

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Shows the API.
pub(super) fn show((content_type, content): (&'static str, &'static str)) -> Page {
    let headers = vec![
        ("content-type", content_type),
        ("cache-control", "no-cache"),
        ("content-security-policy", POLICY),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ];
    Page { status: 200, headers, body: content.into() }
}
