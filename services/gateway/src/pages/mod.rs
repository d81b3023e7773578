//! What the gateway answers itself.

mod docs;
mod health;

use std::borrow::Cow;

use slipway_kernel::ErrorCode;
use slipway_web::Problem;
use slipway_web::http::StatusCode;

pub(crate) use health::Health;

use crate::routes::OwnPage;
use crate::rules::Rules;

/// An answer of the gateway's own.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: Cow<'static, str>,
}

/// Answers with a page.
pub(crate) async fn show(page: OwnPage, method: &str, rules: &Rules) -> Result<Page, Problem> {
    if !matches!(method, "GET" | "HEAD") {
        let told = "this path does not take this method";
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::METHOD_NOT_ALLOWED, told));
    }
    match page {
        OwnPage::Health => rules.health.page(rules.guard.link.check().is_ok()).await,
        OwnPage::OpenApi => Ok(docs::show(docs::OPENAPI)),
        OwnPage::Docs => Ok(docs::show(docs::PAGE)),
        OwnPage::DocsScript => Ok(docs::show(docs::SCRIPT)),
        OwnPage::DocsStyle => Ok(docs::show(docs::STYLE)),
    }
}
