//! Every error that a client sees: problem details (RFC 9457).

use std::error::Error;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use slipway_kernel::{ErrorCode, ExecutionId};
use slipway_models::problem::{FieldError, ProblemBody};

type Cause = Box<dyn Error + Send + Sync>;

const RETRY_AFTER_SECONDS: u32 = 2;

/// An error on its way to a client. A cause stays on the server: it is logged once, by the request log.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: ErrorCode,
    detail: String,
    errors: Vec<FieldError>,
    execution_id: Option<ExecutionId>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Cause>,
}

impl Problem {
    /// Makes a problem with a status, a stable code and a sentence that names the fault.
    pub fn new(status: StatusCode, code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            execution_id: None,
            headers: Vec::new(),
            cause: None,
        }
    }

    /// 400: the request cannot be read.
    pub fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::INVALID_REQUEST, detail)
    }

    /// 401: the request names no valid identity.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::UNAUTHENTICATED, detail)
    }

    /// 403: the caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::FORBIDDEN, detail)
    }

    /// 404: there is nothing here, or nothing that the caller may see.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NOT_FOUND, detail)
    }

    /// 413: the body is larger than `limit` bytes.
    pub fn body_too_large(limit: u64) -> Self {
        let detail = format!("the body is larger than the {limit} bytes that this route takes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BODY_TOO_LARGE, detail)
    }

    /// 422: fields break a rule.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] if only.pointer.is_empty() => only.detail.clone(),
            [only] => format!("{}: {}", only.pointer, only.detail),
            several => format!("{} fields are at fault", several.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::VALIDATION_FAILED, detail) }
    }

    /// 500: a fault of our own. The client gets a fixed text; the cause goes to the log.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        let detail = "the server failed to do this; the request id leads to the cause in its log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::INTERNAL, detail).caused_by(cause)
    }

    /// 503: something that the service needs is not there at the moment. The client may retry.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        let detail = "something that this needs is not available at the moment; try again shortly";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::UNAVAILABLE, detail)
            .retry_after(RETRY_AFTER_SECONDS)
            .caused_by(cause)
    }

    /// Names the cause, for the log alone.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Gives another sentence.
    #[must_use]
    pub fn detailed(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Gives another stable code.
    #[must_use]
    pub fn coded(mut self, code: ErrorCode) -> Self {
        self.code = code;
        self
    }

    /// Names the fields at fault.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Names the execution that the problem is the outcome of.
    #[must_use]
    pub fn of_execution(mut self, id: ExecutionId) -> Self {
        self.execution_id = Some(id);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says when to try again, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Returns the headers that it adds to the answer.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// Returns the cause, for the request log.
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }

    /// Returns the stable code.
    pub fn code(&self) -> &ErrorCode {
        &self.code
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Writes the problem as the body that a client reads.
    pub fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.clone(),
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
            execution_id: self.execution_id.map(|id| id.to_string()),
        }
    }

    pub(crate) fn render(&self, request_id: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            response.append_header((name.clone(), value.clone()));
        }
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        response.body(serde_json::to_vec(&self.body(request_id)).unwrap_or_default())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.render("")
    }
}
