//! The API, for programs and for people.

use actix_web::HttpResponse;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::web::Path;
use slipway_web::Problem;

const OPENAPI: &str = include_str!("../../../../proto-docs/openapi/slipway.json");
const PAGE: &str = include_str!("../../assets/docs.html");
const SCRIPT: &str = include_str!("../../assets/docs.js");
const STYLE: &str = include_str!("../../assets/docs.css");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Shows the OpenAPI document of all services.
pub(crate) async fn openapi() -> HttpResponse {
    show("application/json", OPENAPI)
}

/// Shows the OpenAPI document as a page.
pub(crate) async fn docs() -> HttpResponse {
    show("text/html; charset=utf-8", PAGE)
}

/// Shows what the page is made of.
pub(crate) async fn docs_file(file: Path<String>) -> Result<HttpResponse, Problem> {
    match file.as_str() {
        "docs.js" => Ok(show("text/javascript; charset=utf-8", SCRIPT)),
        "docs.css" => Ok(show("text/css; charset=utf-8", STYLE)),
        _ => Err(Problem::not_found("there is nothing at this path")),
    }
}

fn show(content_type: &'static str, content: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .body(content)
}
