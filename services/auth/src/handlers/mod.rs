//! One endpoint a file.

mod audit;
mod jwks;
mod login;
mod logout;
mod me;
mod refresh;
mod register;
mod revocations;
mod take_audit;
mod verify_audit;

pub(crate) use audit::*;
pub(crate) use jwks::*;
pub(crate) use login::*;
pub(crate) use logout::*;
pub(crate) use me::*;
pub(crate) use refresh::*;
pub(crate) use register::*;
pub(crate) use revocations::*;
pub(crate) use take_audit::*;
pub(crate) use verify_audit::*;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use slipway_models::auth::TokenAnswer;

/// Answers with tokens, which no cache may keep (RFC 6749, section 5.1).
fn tokens(answer: &TokenAnswer) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(answer)
}
