//! What the gateway answers itself.

mod docs;
mod health;

use std::borrow::Cow;

use slipway_kernel::ErrorCode;
use slipway_web::Problem;
use slipway_web::http::StatusCode;

pub(crate) use health::Health;

use crate::rules::Rules;

/// An answer of the gateway's own.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: Cow<'static, str>,
}

/// Finds the page of a path, where there is one.
pub(crate) async fn find(path: &str, method: &str, rules: &Rules) -> Option<Result<Page, Problem>> {
    let found = match path {
        "/health" => None,
        path => Some(docs::find(path)?),
    };
    if !matches!(method, "GET" | "HEAD") {
        let code = ErrorCode::METHOD_NOT_ALLOWED;
        let told = "this path does not take this method";
        return Some(Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, code, told)));
    }
    match found {
        Some(page) => Some(Ok(page)),
        None => Some(rules.health.page(rules.guard.link.check().is_ok()).await),
    }
}
