#![doc = include_str!("../README.md")]

mod goes_on;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use slipway_db::{Begin, Database, DbError, IdempotencyKey, StoredAnswer};
use slipway_kernel::{ErrorCode, SharedClock, UserId};
use slipway_web::Problem;
use tokio::runtime::Handle;
use tracing::Instrument as _;

use crate::goes_on::GoesOn;

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Tells that an answer was given before.
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const RETRY_A_KEY_SECONDS: u32 = 2;

/// An answer that can be kept and given again.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// Makes an answer whose body is JSON.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self { status, body: serde_json::to_vec(body).map_err(Problem::internal)?.into() })
    }
}

/// An answer, and whether it is the one of an earlier request.
struct Given {
    answer: Answer,
    is_replayed: bool,
}

/// Returns the key that the request carries, if it carries one; `fingerprint` tells apart what is asked for under it.
pub fn key_of<F: AsRef<[u8]>>(
    request: &HttpRequest,
    caller: UserId,
    route: &'static str,
    fingerprint: impl FnOnce() -> Result<F, Problem>,
) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(key) = request.headers().get(&IDEMPOTENCY_KEY) else { return Ok(None) };
    let (key, fingerprint) = (key.to_str().unwrap_or_default(), fingerprint()?);
    IdempotencyKey::new(caller.as_uuid(), route, key, fingerprint.as_ref())
        .map(Some)
        .map_err(|fault| Problem::invalid_request(fault.to_string()))
}

/// The keys of the requests that this service answers.
#[derive(Clone)]
pub struct Idempotency {
    db: Database,
    clock: SharedClock,
    /// Where the work of requests with a key is done, and not on the thread that answers: it goes on when that drops it.
    tasks: Handle,
}

impl Idempotency {
    /// Work with a key will be done on the current Tokio runtime.
    pub fn new(db: Database, clock: SharedClock) -> Self {
        Self { db, clock, tasks: Handle::current() }
    }

    /// Does `work` once for a key, where there is one: later requests with the same key and fingerprint get the same
    /// answer. What fails leaves the key free. The work goes on when the client hangs up; without a key it is done on the
    /// thread that answers, as no other needs to be woken for it.
    pub async fn once(
        &self,
        key: Option<IdempotencyKey>,
        work: impl Future<Output = Result<Answer, Problem>> + Send + 'static,
    ) -> Result<HttpResponse, Problem> {
        let work = work.in_current_span();
        let Some(key) = key else { return GoesOn::new(work).await.map(respond) };
        let keys = self.clone();
        let done = self.tasks.spawn(async move { keys.claim_and_work(key, work).await });
        let Given { answer, is_replayed } = done.await.map_err(Problem::internal)??;
        let mut response = respond(answer);
        if is_replayed {
            response.headers_mut().insert(REPLAYED.clone(), HeaderValue::from_static("true"));
        }
        Ok(response)
    }

    async fn claim_and_work(
        &self,
        key: IdempotencyKey,
        work: impl Future<Output = Result<Answer, Problem>>,
    ) -> Result<Given, Problem> {
        let (claimed, now) = (key.clone(), self.clock.now());
        let begun = self
            .db
            .run("idempotency.begin", move |connection| slipway_db::begin(connection, &claimed, now))
            .await
            .map_err(failed)?;
        match begun {
            Begin::Claimed => {}
            Begin::Replay(answer) => {
                let status = StatusCode::from_u16(answer.status).map_err(Problem::internal)?;
                let answer = Answer { status, body: answer.body.into() };
                return Ok(Given { answer, is_replayed: true });
            }
            Begin::InUse => {
                let detail = "a request with this Idempotency-Key is still being carried out";
                return Err(Problem::new(StatusCode::CONFLICT, ErrorCode::IDEMPOTENCY_KEY_IN_USE, detail)
                    .retry_after(RETRY_A_KEY_SECONDS));
            }
            Begin::Reused => {
                let detail = "this Idempotency-Key was used before with another body";
                return Err(Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    ErrorCode::IDEMPOTENCY_KEY_REUSED,
                    detail,
                ));
            }
        }
        let outcome = work.await;
        self.settle(key, &outcome).await;
        outcome.map(|answer| Given { answer, is_replayed: false })
    }

    /// Keeps the answer, or frees the key. Where that fails, the key's lease ends by itself.
    async fn settle(&self, key: IdempotencyKey, outcome: &Result<Answer, Problem>) {
        let kept = outcome
            .as_ref()
            .ok()
            .map(|answer| StoredAnswer { status: answer.status.as_u16(), body: answer.body.to_vec() });
        let settled: Result<(), DbError> = self
            .db
            .run("idempotency.settle", move |connection| match kept {
                Some(answer) => slipway_db::finish(connection, &key, &answer),
                None => slipway_db::abandon(connection, &key),
            })
            .await;
        if let Err(fault) = settled {
            tracing::warn!(error = %fault, "an idempotency key was not settled");
        }
    }
}

fn failed(fault: DbError) -> Problem {
    if fault.is_transient() { Problem::unavailable(fault) } else { Problem::internal(fault) }
}

fn respond(answer: Answer) -> HttpResponse {
    HttpResponse::build(answer.status).content_type("application/json").body(answer.body)
}
