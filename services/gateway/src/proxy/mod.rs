//! What becomes of a request: it is judged, and answered here or by the service that its path belongs to.

mod admit;
mod ask;
mod browsers;
mod frames;
mod hosts;
mod inward;
mod origins;
mod outward;
mod problems;
mod relay;
mod request;
mod said;
mod streaming;
mod tunnel;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_http1::{Body, HeadFault};
use slipway_kernel::ErrorCode;
use slipway_telemetry::{
    Answered, IncomingRequest, TraceContext, end_request, exports_spans, log_answered, outgoing_headers,
    request_span,
};
use slipway_web::http::StatusCode;
use slipway_web::{Problem, RequestIdText};
use tracing::{Instrument as _, Span};

pub(crate) use hosts::Hosts;

use self::admit::{Decided, decide};
use self::ask::{AskFault, ask};
use self::inward::Plan;
use self::outward::{Closing, write_page, write_problem};
use self::request::{Request, known};
use self::said::Said;
use crate::pages::Page;
use crate::routes::Route;
use crate::series::RouteSeries;
use crate::server::{Connection, NoRequest, Stream, Worker};

const SERVICE: &str = "gateway";
const SWITCHING_PROTOCOLS: u16 = 101;
const UNMATCHED: &str = "unmatched";
/// Within this a body that is read ahead is whole, and the next piece of a longer one is there.
const PIECE_WITHIN: Duration = Duration::from_secs(30);
/// Up to this a body is read before the service is asked: a slow client then holds no connection to it.
const READ_AHEAD: u64 = 64 * 1024;

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next request is read from it.
    Request,
    /// Likewise, but not at once: the client asks too often.
    Later,
    /// It is ended in order.
    End,
    /// It is dropped: the client has gone, or must not take what it has for the whole.
    Gone,
}

/// What is known of a request while it is answered.
struct Exchange {
    since: Instant,
    method: Cow<'static, str>,
    id: RequestIdText,
    trace: TraceContext,
    tracestate: Option<String>,
    /// The template that its line in the log names.
    route: Option<Arc<str>>,
    /// Whose series it is counted in.
    counted_by: Option<Arc<Route>>,
    /// Whether it was one too many.
    is_too_often: bool,
    said: Said,
    outcome: Outcome,
}

/// What the request came to.
#[derive(Default)]
struct Outcome {
    status: u16,
    /// Says that an answer of 5xx is what a user's own code came to.
    is_users: bool,
    problem: Option<(ErrorCode, Option<String>)>,
    upstream: Option<Duration>,
    received: u64,
    sent: u64,
}

impl Outcome {
    fn count(&self, series: &RouteSeries) {
        series.received.inc_by(self.received);
        series.sent.inc_by(self.sent);
        if let Some(upstream) = self.upstream {
            series.upstream.observe(upstream.as_secs_f64());
        }
    }
}

/// Answers the request whose head was read.
pub(crate) async fn answer<S: Stream>(connection: &mut Connection<S>, body: Body, worker: &Worker) -> Next {
    let request = Request::new(&connection.head, connection.input.unread(), connection.peer);
    let mut exchange = Exchange::begin(&request);
    let active = worker.rules.metrics.begin_request();
    let next = if exports_spans() {
        let span = exchange.open_span(&request);
        let next = exchange.run(connection, body, worker).instrument(span.clone()).await;
        let (route, outcome) = (exchange.route.as_deref().unwrap_or(UNMATCHED), &exchange.outcome);
        end_request(&span, &exchange.method, route, outcome.status);
        next
    } else {
        exchange.run(connection, body, worker).await
    };
    if let Some(route) = &exchange.counted_by {
        active.finish_in(&route.series.durations, &exchange.method, exchange.outcome.status);
        exchange.outcome.count(&route.series);
    } else {
        let page = exchange.route.as_deref().unwrap_or(UNMATCHED);
        active.finish(&exchange.method, page, exchange.outcome.status);
    }
    exchange.log();
    // A proxy's connection carries others' requests too.
    let is_held = exchange.is_too_often && !worker.rules.trusted_proxies.trusts(connection.peer);
    if is_held && next == Next::Request { Next::Later } else { next }
}

/// Refuses what cannot be read as a request.
pub(crate) async fn refuse<S: Stream>(
    connection: &mut Connection<S>,
    fault: NoRequest,
    worker: &Worker,
) -> Next {
    let problem = match fault {
        NoRequest::Refused(HeadFault::TooLarge) => Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            ErrorCode::INVALID_REQUEST,
            "the request's head is larger than the gateway reads, or has too many headers",
        ),
        NoRequest::Late => problems::late("the request's head did not come in time"),
        NoRequest::Refused(HeadFault::Malformed) | NoRequest::Over => {
            Problem::invalid_request("the request cannot be read: it is not written as RFC 9112 has it")
        }
    };
    let mut exchange = Exchange::new(Cow::Borrowed(""), RequestIdText::choose(None), TraceContext::of(None));
    let active = worker.rules.metrics.begin_request();
    exchange.take_problem(&problem);
    write_problem(&mut connection.output, &problem, &exchange.id, &exchange.said, Closing::Closes, false);
    let _ = connection.write(worker.rules.answer_stall).await;
    active.finish("", UNMATCHED, exchange.outcome.status);
    exchange.log();
    Next::End
}

impl Exchange {
    fn begin(request: &Request<'_>) -> Self {
        let id = RequestIdText::choose(request.text("x-request-id"));
        let traceparent = request.text("traceparent");
        let mut exchange = Self::new(known(request.method()), id, TraceContext::of(traceparent));
        exchange.tracestate = traceparent.and(request.text("tracestate")).map(str::to_owned);
        exchange
    }

    fn new(method: Cow<'static, str>, id: RequestIdText, trace: TraceContext) -> Self {
        Self {
            since: Instant::now(),
            method,
            id,
            trace,
            tracestate: None,
            route: None,
            counted_by: None,
            is_too_often: false,
            said: Said::default(),
            outcome: Outcome::default(),
        }
    }

    /// Opens a span that is exported, and goes on with its ids.
    fn open_span(&mut self, request: &Request<'_>) -> Span {
        let span = request_span(&IncomingRequest {
            service: SERVICE,
            method: &self.method,
            request_id: self.id.as_str(),
            traceparent: request.text("traceparent"),
            tracestate: request.text("tracestate"),
        });
        let headers = {
            let _entered = span.enter();
            outgoing_headers()
        };
        for (name, value) in headers {
            match name {
                "traceparent" => {
                    self.trace = TraceContext::exactly(&value).unwrap_or_else(|| self.trace.clone());
                }
                "tracestate" => self.tracestate = Some(value),
                _ => {}
            }
        }
        span
    }

    async fn run<S: Stream>(&mut self, connection: &mut Connection<S>, body: Body, worker: &Worker) -> Next {
        let request = Request::new(&connection.head, connection.input.unread(), connection.peer);
        let decided = decide(&request, body, self, &worker.rules).await;
        let expects = request.has("expect");
        let is_last = connection.head.is_last();
        connection.input.consume(connection.head.length());
        match decided {
            Ok(Decided::Pass(plan)) => self.pass(connection, *plan, body, expects, worker).await,
            Ok(Decided::Page(page)) => self.show(connection, &page, body, expects || is_last, worker).await,
            Err(problem) => self.refuse(connection, &problem, body, expects || is_last, worker).await,
        }
    }

    /// Has the service answer.
    async fn pass<S: Stream>(
        &mut self,
        connection: &mut Connection<S>,
        plan: Plan,
        body: Body,
        expects: bool,
        worker: &Worker,
    ) -> Next {
        if expects && body != Body::None && !connection.head.is_old() && connection.input.is_empty() {
            connection.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            if connection.write(worker.rules.answer_stall).await.is_err() {
                return Next::Gone;
            }
        }
        let length = match body {
            Body::None | Body::Opaque => 0,
            Body::Sized(length) if length <= READ_AHEAD => length,
            Body::Sized(_) | Body::Chunked => {
                return Box::pin(streaming::pass(self, connection, &plan, body, worker)).await;
            }
        };
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        if whole > 0 {
            match tokio::time::timeout(PIECE_WITHIN, connection.read_whole(whole)).await {
                Ok(Ok(())) => self.outcome.received = length,
                Ok(Err(_)) => return Next::Gone,
                Err(_) => {
                    let problem = problems::late("the body did not come in time");
                    return self.refuse(connection, &problem, Body::Sized(u64::MAX), true, worker).await;
                }
            }
        }
        let asked = ask(connection, &plan, whole, worker).await;
        self.outcome.upstream = Some(self.since.elapsed());
        connection.input.consume(whole);
        match asked {
            Ok((kept, turn)) if kept.head.status() == SWITCHING_PROTOCOLS => {
                Box::pin(tunnel::pass(self, connection, &plan, (kept, turn), worker)).await
            }
            Ok((kept, turn)) => relay::pass(self, connection, &plan, (kept, turn), worker).await,
            Err(AskFault::Gone) => Next::Gone,
            Err(fault) => {
                let problem = problems::unanswered(&fault, &plan.route);
                let is_last = connection.head.is_last();
                self.refuse(connection, &problem, Body::None, is_last, worker).await
            }
        }
    }

    /// Answers with a page of the gateway's own.
    async fn show<S: Stream>(
        &mut self,
        connection: &mut Connection<S>,
        page: &Page,
        body: Body,
        is_last: bool,
        worker: &Worker,
    ) -> Next {
        self.outcome.status = page.status;
        let closing = closing(connection, body, is_last, worker).await;
        write_page(&mut connection.output, page, &self.id, &self.said, closing, self.method == "HEAD");
        self.write(connection, closing, worker).await
    }

    /// Answers with a problem.
    async fn refuse<S: Stream>(
        &mut self,
        connection: &mut Connection<S>,
        problem: &Problem,
        body: Body,
        is_last: bool,
        worker: &Worker,
    ) -> Next {
        self.take_problem(problem);
        let closing = closing(connection, body, is_last, worker).await;
        write_problem(&mut connection.output, problem, &self.id, &self.said, closing, self.method == "HEAD");
        self.write(connection, closing, worker).await
    }

    async fn write<S: Stream>(
        &mut self,
        connection: &mut Connection<S>,
        closing: Closing,
        worker: &Worker,
    ) -> Next {
        match connection.write(worker.rules.answer_stall).await {
            Err(_) => Next::Gone,
            Ok(()) if closing == Closing::Closes => Next::End,
            Ok(()) => Next::Request,
        }
    }

    fn take_problem(&mut self, problem: &Problem) {
        self.outcome.status = problem.status().as_u16();
        let cause = problem.cause().map(ToString::to_string);
        self.outcome.problem = Some((problem.code().clone(), cause));
    }

    fn log(&self) {
        let outcome = &self.outcome;
        let (code, cause) = match &outcome.problem {
            Some((code, cause)) => (Some(code.as_str()), cause.as_deref()),
            None => (None, None),
        };
        log_answered(&Answered {
            service: SERVICE,
            request_id: self.id.as_str(),
            trace: Some(&self.trace),
            method: &self.method,
            route: self.route.as_deref().unwrap_or(UNMATCHED),
            status: outcome.status,
            is_own_fault: !outcome.is_users,
            duration: self.since.elapsed(),
            upstream: outcome.upstream,
            bytes: (outcome.received, outcome.sent),
            error_code: code,
            error_cause: cause,
        });
    }
}

/// Finds out whether the connection ends with an answer that was given without a look at the body.
async fn closing<S: Stream>(
    connection: &mut Connection<S>,
    body: Body,
    is_last: bool,
    worker: &Worker,
) -> Closing {
    let ends = is_last || worker.stopping.is_cancelled() || !connection.drop_body(body).await;
    Closing::of(ends, connection.head.is_old())
}
