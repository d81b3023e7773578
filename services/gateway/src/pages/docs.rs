//! The API, for programs and for people.

use super::Page;

const OPENAPI: &str = include_str!("../../../../proto-docs/openapi/slipway.json");
const PAGE: &str = include_str!("../../assets/docs.html");
const SCRIPT: &str = include_str!("../../assets/docs.js");
const STYLE: &str = include_str!("../../assets/docs.css");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Finds a page of the API's.
pub(super) fn find(path: &str) -> Option<Page> {
    let (content_type, content) = match path {
        "/api/openapi.json" | "/api/v1/openapi.json" => ("application/json", OPENAPI),
        "/api/docs" => ("text/html; charset=utf-8", PAGE),
        "/api/docs/docs.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "/api/docs/docs.css" => ("text/css; charset=utf-8", STYLE),
        _ => return None,
    };
    let headers = vec![
        ("content-type", content_type),
        ("cache-control", "no-cache"),
        ("content-security-policy", POLICY),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ];
    Some(Page { status: 200, headers, body: content.into() })
}
