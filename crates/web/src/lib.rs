//! What every HTTP service of Slipway shares, over actix-web: problem answers, extractors, the request log, health,
//! and a start and a stop that lose nothing.

mod caller;
mod extract;
mod health;
mod launch;
mod origin;
mod problem;
mod request;
mod server;
mod sse;
#[cfg(not(any(test, fuzzing)))]
mod strict;
#[cfg(any(test, fuzzing))]
pub mod strict;

/// Statuses and headers, for services' errors: they need not know the framework.
pub use actix_web::http;
pub use caller::{Caller, ManageUsers, MaybeCaller, Permitted, Required, ServiceCaller, ViewAudit};
pub use extract::{BodyLimit, Json, OptionalJson, Paging, parse_json, read_body};
pub use health::Readiness;
pub use launch::{BoxError, Context, Service, launch, read_settings, stop_on_signal};
pub use origin::RequestOrigin;
pub use problem::Problem;
pub use request::{AnswerHeaders, RequestIdText, TIMEOUT_HEADER, UsersOutcome};
pub use server::{Application, ServerConfig, resource};
pub use sse::{Event, LastEventId, event_stream};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use slipway_kernel::ErrorCode;

async fn no_such_route() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("there is nothing at this path"))
}

async fn method_not_allowed() -> Result<HttpResponse, Problem> {
    Err(Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::METHOD_NOT_ALLOWED,
        "this path does not take this method",
    ))
}
