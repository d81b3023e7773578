//! Bodies, pages and identities, as handlers take them.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::web::{BytesMut, Query};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use futures_util::StreamExt as _;
use futures_util::future::{LocalBoxFuture, Ready, ready};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use slipway_kernel::{ErrorCode, InvalidPage, PageRequest};
use slipway_models::problem::FieldError;

use crate::Problem;

/// The most bytes of a JSON body, where the route sets no [`BodyLimit`].
const DEFAULT_BODY_LIMIT: u64 = 1024 * 1024;

/// The most characters of a body that are repeated to its sender.
const MAX_REPEATED: usize = 300;

/// The most bytes that the JSON bodies of a route or a service may have: put it into the app data.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub u64);

/// A JSON body. Unlike actix's own, it names the field at fault by a JSON pointer (RFC 6901).
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            if !is_json(request.content_type()) {
                return Err(Problem::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    ErrorCode::UNSUPPORTED_MEDIA_TYPE,
                    "the body must be JSON: send it with content-type application/json",
                ));
            }
            let limit = request.app_data::<BodyLimit>().map_or(DEFAULT_BODY_LIMIT, |limit| limit.0);
            let body = read_body(&request, payload, limit).await?;
            parse_json(&body).map(Self)
        })
    }
}

/// A JSON body that may be left out.
#[derive(Debug)]
pub struct OptionalJson<T>(pub Option<T>);

impl<T: DeserializeOwned + 'static> FromRequest for OptionalJson<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        // RFC 9112, section 6.3: without these there is no body.
        let has_body = request.headers().contains_key(TRANSFER_ENCODING)
            || request.headers().get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
        if !has_body {
            return Box::pin(ready(Ok(Self(None))));
        }
        let read = Json::from_request(request, payload);
        Box::pin(async move { read.await.map(|Json(body)| Self(Some(body))) })
    }
}

/// Reads a whole body of at most `limit` bytes. One that says it is larger is refused before it is read.
pub async fn read_body(request: &HttpRequest, mut payload: Payload, limit: u64) -> Result<BytesMut, Problem> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit) {
        return Err(Problem::body_too_large(limit));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk =
            chunk.map_err(|cause| Problem::invalid_request(format!("the body cannot be read: {cause}")))?;
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(Problem::body_too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads JSON: a fault of syntax is 400, a fault of content 422 with the field's pointer.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|fault| {
        let pointer = cut(&to_pointer(fault.path()));
        let inner = fault.into_inner();
        if inner.is_data() {
            let detail = inner.to_string();
            let detail = cut(detail.rsplit_once(" at line ").map_or(&detail, |(said, _)| said));
            Problem::validation(vec![FieldError { pointer, detail }])
        } else {
            Problem::invalid_request(format!("the body is not JSON: {inner}"))
        }
    })?;
    reader.end().map_err(|fault| Problem::invalid_request(format!("the body is not JSON: {fault}")))?;
    Ok(value)
}

/// Names and values of the body are repeated in what is said of them; a huge one is not.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_REPEATED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn to_pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { .. } | Segment::Unknown => String::new(),
        })
        .collect()
}

/// The page that a list's query asks for.
#[derive(Debug, Clone, Copy)]
pub struct Paging(pub PageRequest);

#[derive(Deserialize)]
struct PagingQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

impl FromRequest for Paging {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            Query::<PagingQuery>::from_query(request.query_string())
                .map_err(|fault| Problem::invalid_request(format!("the query cannot be read: {fault}")))
                .and_then(|query| {
                    page(query.limit.as_deref(), query.cursor.as_deref())
                        .map_err(|fault| Problem::invalid_request(fault.to_string()))
                })
                .map(Self),
        )
    }
}

fn page(limit: Option<&str>, cursor: Option<&str>) -> Result<PageRequest, InvalidPage> {
    let limit = limit.map(str::parse).transpose().map_err(|_| InvalidPage::Limit)?;
    PageRequest::new(limit, cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its reading is tested")]
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its reading is tested")]
        size: u8,
    }

    fn fault(body: &str) -> (u16, String) {
        let problem = parse_json::<Outer>(body.as_bytes()).unwrap_err();
        (problem.status().as_u16(), problem.body("").detail)
    }

    #[test]
    fn faults_of_content_name_the_field_and_faults_of_syntax_the_place() {
        assert_eq!(
            fault(r#"{"inner":{"size":"big"}}"#),
            (422, "/inner/size: invalid type: string \"big\", expected u8".to_owned())
        );
        assert_eq!(
            fault(r#"{"inner":{"size":1,"si/ze":2}}"#),
            (422, "/inner/si~1ze: unknown field `si/ze`, expected `size`".to_owned())
        );
        assert_eq!(fault(r#"{"inner":{}}"#), (422, "/inner: missing field `size`".to_owned()));
        assert_eq!(
            fault(r#"{"inner""#),
            (400, "the body is not JSON: EOF while parsing an object at line 1 column 8".to_owned())
        );
        assert_eq!(fault(r#"{"inner":{"size":1}} x"#).0, 400);
    }

    #[test]
    fn what_is_repeated_of_a_huge_body_is_short() {
        let huge = "\u{1}\"".repeat(300_000);
        for body in
            [serde_json::json!({ "inner": { "size": huge } }), serde_json::json!({ "inner": { (huge): 1 } })]
        {
            let problem = parse_json::<Outer>(body.to_string().as_bytes()).unwrap_err();
            let answer = serde_json::to_vec(&problem.body("")).unwrap();
            assert!(answer.len() < 10_000, "{}", answer.len());
        }
        assert_eq!(
            fault(r#"{"inner":{"size":" at line "}}"#).1,
            "/inner/size: invalid type: string \" at line \", expected u8"
        );
    }

    #[test]
    fn a_limit_that_is_no_number_is_named() {
        assert_eq!(page(Some("many"), None), Err(InvalidPage::Limit));
        assert_eq!(page(Some("7"), None).map(|request| request.limit()), Ok(7));
    }
}
