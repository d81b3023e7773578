use std::sync::Arc;

use actix_web::http::header::HeaderValue;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::{Stream, stream};
use slipway_kernel::ErrorCode;
use slipway_web::{Caller, MaybeCaller, Problem, UsersOutcome, read_body};

use super::invoke::{FUNCTION_FAILED, FUNCTION_TIMED_OUT, MAX_INVOKE_BYTES, OUTCOME, traceparent};
use crate::domain::{MalformedSignature, SIGNATURE_HEADERS, ShownSignature, SignedHead};
use crate::error::FunctionError;
use crate::invoke::{Call, HeadTooLong, Piece};
use crate::service::{Functions, Invocations, InvokeError, Relayed, SigningKeys};

/// What an answer may not say of the connection, or in the platform's name.
const NOT_THE_HANDLERS: [&str; 11] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
    "date",
];

/// `/f/{handle}/{name}/…`: calls a function by HTTP. The answer is the function's own: its status, its headers, and its
/// body as it comes. A function that is not public is its owner's, and that of whoever signs with one of its keys; to
/// others it is as if it were not there.
#[tracing::instrument(skip_all)]
pub(crate) async fn trigger(
    functions: Data<Functions>,
    keys: Data<SigningKeys>,
    invocations: Data<Invocations>,
    MaybeCaller(caller): MaybeCaller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (handle, name, path) = split(request.uri().path());
    let caller = caller.as_ref().map(Caller::user_id);
    let (version, signed) = match functions.triggered(handle, name, caller).await {
        Err(refusal @ (FunctionError::NotFound | FunctionError::SignInToCall)) => {
            let shown = shown_signature(&request).map_err(FunctionError::from)?.ok_or(refusal)?;
            let admitted = keys.admit(handle, name, shown).await?;
            (Arc::clone(&admitted.version), Some(admitted))
        }
        found => (found?, None),
    };
    let is_owner = caller == Some(version.owner);
    let body = read_body(&request, payload.into_inner(), MAX_INVOKE_BYTES).await?.freeze();
    let is_signature = |name: &str| signed.is_some() && SIGNATURE_HEADERS.contains(&name);
    let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let headers = headers.filter(|(name, _)| !is_signature(name));
    let (method, query) = (request.method().as_str(), request.query_string());
    let mut call = Call::by_http(method, path, query, headers, body.to_vec())?;
    call.traceparent = traceparent();
    let signed_by = match signed {
        Some(signed) => Some(keys.redeem(signed, &body).await?),
        None => None,
    };
    let relayed = invocations.into_inner().relay(&version, call, signed_by).await?;
    let answered = answer(relayed, request.method()).await.map_err(|fault| shown(fault, is_owner));
    let is_functions = match &answered {
        Ok(answer) => answer.status().is_server_error(),
        Err(problem) => matches!(problem.code().as_str(), FUNCTION_FAILED | FUNCTION_TIMED_OUT),
    };
    if is_functions {
        request.extensions_mut().insert(UsersOutcome);
    }
    answered
}

fn shown_signature(request: &HttpRequest) -> Result<Option<ShownSignature>, MalformedSignature> {
    ShownSignature::read(&SignedHead {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.query_string(),
        values: &|name| request.headers().get_all(name).map(HeaderValue::as_bytes).collect(),
    })
}

/// Splits a raw path into handle, name, and what lies below. A name that is none leads to no function.
fn split(path: &str) -> (&str, &str, &str) {
    let path = path.strip_prefix("/f/").unwrap_or_default();
    let (handle, rest) = path.split_once('/').unwrap_or((path, ""));
    match rest.find('/') {
        Some(end) => (handle, &rest[..end], &rest[end..]),
        None => (handle, rest, ""),
    }
}

/// Waits for the head of the answer; the rest of it follows as it comes.
async fn answer(mut relayed: Relayed, method: &Method) -> Result<HttpResponse, InvokeError> {
    let Some(Piece::Head(status, headers)) = relayed.pieces.recv().await else {
        let ended = relayed.run.await.map_err(|cause| InvokeError::Interrupted { cause })?;
        return Err(ended.err().unwrap_or(InvokeError::NoHead));
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponseBuilder::new(status);
    for (name, value) in &headers {
        if !NOT_THE_HANDLERS.contains(&name.as_str()) && !name.as_str().starts_with("x-slipway") {
            response.append_header((name.as_str(), value.as_bytes()));
        }
    }
    response.insert_header((OUTCOME.clone(), HeaderValue::from_static("answered")));
    if *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // Nothing follows, so the end can be waited for.
        while relayed.pieces.recv().await.is_some() {}
        relayed.run.await.map_err(|cause| InvokeError::Interrupted { cause })??;
        return Ok(response.finish());
    }
    Ok(response.streaming(body(relayed)))
}

/// The body. Where the run fails half-way it breaks off, so that nobody takes it for whole.
fn body(relayed: Relayed) -> impl Stream<Item = Result<Bytes, InvokeError>> {
    stream::try_unfold(Some(relayed), |state| async move {
        let Some(mut relayed) = state else { return Ok(None) };
        loop {
            match relayed.pieces.recv().await {
                Some(Piece::Data(part)) => return Ok(Some((part, Some(relayed)))),
                Some(Piece::Head(..)) => {}
                None => {
                    relayed.run.await.map_err(|cause| InvokeError::Interrupted { cause })??;
                    return Ok(None);
                }
            }
        }
    })
}

/// Why a handler failed is for its owner: its message may hold anything.
fn shown(fault: InvokeError, is_owner: bool) -> Problem {
    let detail = match &fault {
        InvokeError::Failed { .. } => "the function failed",
        InvokeError::TimedOut { .. } => "the function did not answer in time",
        _ => return fault.into(),
    };
    let problem = Problem::from(fault);
    if is_owner { problem } else { problem.detailed(detail) }
}

impl From<HeadTooLong> for Problem {
    fn from(fault: HeadTooLong) -> Self {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Self::new(status, ErrorCode::new("request_head_too_large"), fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_falls_into_handle_name_and_what_lies_below() {
        for (path, parts) in [
            ("/f/ada/hello", ("ada", "hello", "")),
            ("/f/ada/hello/", ("ada", "hello", "/")),
            ("/f/ada/hello/a%2Fb//c/", ("ada", "hello", "/a%2Fb//c/")),
            ("/f/ada", ("ada", "", "")),
            ("/f/ada//hello", ("ada", "", "/hello")),
            ("/f/", ("", "", "")),
        ] {
            assert_eq!(split(path), parts, "{path}");
        }
    }
}
