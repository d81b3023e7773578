//! How what went wrong is told to clients.

use slipway_http1::HeadFault;
use slipway_kernel::ErrorCode;
use slipway_web::Problem;
use slipway_web::http::{StatusCode, header};

use super::ask::AskFault;
use crate::access::Refusal;
use crate::api_keys::KeyFault;
use crate::routes::Route;

/// RFC 6750, section 3.
pub(super) fn refused(refusal: Refusal) -> Problem {
    let challenge = |value: String| {
        let value = header::HeaderValue::from_str(&value);
        (header::WWW_AUTHENTICATE, value.unwrap_or(header::HeaderValue::from_static("Bearer")))
    };
    match refusal {
        Refusal::NoToken => {
            let (name, value) = challenge(r#"Bearer realm="slipway""#.to_owned());
            Problem::unauthenticated(refusal.to_string()).header(name, value)
        }
        Refusal::Token(fault) => {
            let (name, value) = challenge(format!(
                r#"Bearer realm="slipway", error="invalid_token", error_description="{fault}""#
            ));
            Problem::unauthenticated(fault.to_string()).coded(fault.code()).header(name, value)
        }
        Refusal::Key(KeyFault::Unknown) => {
            let (name, value) = challenge(r#"Bearer realm="slipway", error="invalid_token""#.to_owned());
            let problem = Problem::unauthenticated(refusal.to_string()).header(name, value);
            problem.coded(ErrorCode::new("api_key_invalid"))
        }
        Refusal::Key(KeyFault::TooMany) => {
            let told = refusal.to_string();
            Problem::unavailable(refusal).coded(ErrorCode::new("overloaded")).detailed(told)
        }
        Refusal::Key(KeyFault::NotTold(_)) => Problem::unavailable(refusal),
        Refusal::OutOfScope => {
            let (name, value) = challenge(r#"Bearer realm="slipway", error="insufficient_scope""#.to_owned());
            let problem = Problem::forbidden(refusal.to_string()).header(name, value);
            problem.coded(ErrorCode::new("insufficient_scope"))
        }
        Refusal::NotGranted(_) => Problem::forbidden(refusal.to_string()),
        Refusal::Several | Refusal::Doubled(_) => Problem::invalid_request(refusal.to_string()),
        Refusal::Stale(fault) => Problem::unavailable(fault),
        Refusal::Signing(fault) => Problem::internal(fault),
    }
}

pub(super) fn late(told: &str) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::new("request_timeout"), told)
}

pub(super) fn rate_limited(wait_seconds: u32) -> Problem {
    let told = "too many requests: wait for as long as retry-after says";
    let code = ErrorCode::new("rate_limited");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, code, told).retry_after(wait_seconds)
}

pub(super) fn not_allowed() -> Problem {
    let told = "the platform takes neither CONNECT nor TRACE";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::METHOD_NOT_ALLOWED, told)
}

pub(super) fn expectation_failed() -> Problem {
    let told = "the platform knows no expectation but 100-continue";
    Problem::new(StatusCode::EXPECTATION_FAILED, ErrorCode::new("expectation_failed"), told)
}

/// Says why a service gave no answer.
pub(super) fn unanswered(fault: &AskFault, route: &Route) -> Problem {
    let failed = |status, code, detail: &str| Problem::new(status, ErrorCode::new(code), detail.to_owned());
    let cause = format!("{}: {fault}", route.service.name);
    match fault {
        AskFault::NoReplica(_) | AskFault::Unreachable(_) => Problem::unavailable(cause),
        AskFault::TimedOut(_) => failed(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "the service behind did not answer in time; whether the request took effect is not known",
        )
        .caused_by(cause),
        AskFault::Unsent(_) | AskFault::Broken(_) | AskFault::Unreadable(_) | AskFault::Gone => failed(
            StatusCode::BAD_GATEWAY,
            "upstream_failed",
            "the service behind ended the connection before it answered; whether the request took effect is not known",
        )
        .caused_by(cause),
    }
}

impl std::fmt::Display for AskFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoReplica(fault) => fault.fmt(f),
            Self::Unreachable(fault) => write!(f, "cannot connect: {fault}"),
            Self::Unsent(fault) => write!(f, "the connection ended before the request: {fault}"),
            Self::Broken(Some(fault)) => write!(f, "the connection ended before the answer: {fault}"),
            Self::Broken(None) => f.write_str("the connection ended before the answer"),
            Self::Unreadable(HeadFault::Malformed) => f.write_str("the answer is no HTTP/1.1"),
            Self::Unreadable(HeadFault::TooLarge) => f.write_str("the answer's head is too large"),
            Self::TimedOut(within) => write!(f, "no answer within {within:?}"),
            Self::Gone => f.write_str("the client has gone"),
        }
    }
}
