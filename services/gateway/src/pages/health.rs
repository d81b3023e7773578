use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use http::uri::Authority;
use http::{Request, StatusCode};
use serde::Serialize;
use slipway_web::Problem;
use tokio::sync::Mutex;

use super::Page;
use crate::upstream::{self, Bounds, Client};

const MAX_AGE: Duration = Duration::from_secs(1);
const BOUNDS: Bounds = Bounds { within: Duration::from_secs(3), bytes: 64 * 1024 };

/// How the services are, as of a second ago at the most: however often it is asked, they are asked once a second.
pub(crate) struct Health {
    client: Client,
    auth: Vec<Authority>,
    functions: Vec<Authority>,
    last: Mutex<Option<(Instant, HealthBody)>>,
}

/// What anybody may know.
#[derive(Clone, Copy, Serialize)]
struct HealthBody {
    status: State,
    services: Services,
}

#[derive(Clone, Copy, Serialize)]
struct Services {
    auth: State,
    functions: State,
    gateway: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ready,
    Unavailable,
}

impl Health {
    /// Asks the operations listeners of the replicas of auth and of the function-runner.
    pub(crate) fn new(auth: Vec<Authority>, functions: Vec<Authority>) -> Self {
        Self { client: Client::new(), auth, functions, last: Mutex::default() }
    }

    /// Sums up how the platform is, and shows no internals.
    pub(super) async fn page(&self, is_gateway_ready: bool) -> Result<Page, Problem> {
        let gateway = if is_gateway_ready { State::Ready } else { State::Unavailable };
        let body = self.ask(gateway).await;
        let status = if body.status == State::Ready { 200 } else { 503 };
        let text = serde_json::to_string(&body).map_err(Problem::internal)?;
        Ok(Page { status, headers: vec![("content-type", "application/json")], body: text.into() })
    }

    async fn ask(&self, gateway: State) -> HealthBody {
        let mut last = self.last.lock().await;
        if let Some((at, body)) = *last
            && at.elapsed() < MAX_AGE
        {
            return body;
        }
        let (auth, functions) = join(self.ready(&self.auth), self.ready(&self.functions)).await;
        let services = Services { auth, functions, gateway };
        let all = [auth, functions, gateway].iter().all(|state| *state == State::Ready);
        let body = HealthBody { status: if all { State::Ready } else { State::Unavailable }, services };
        *last = Some((Instant::now(), body));
        body
    }

    /// A service is ready as long as one of its replicas is.
    async fn ready(&self, replicas: &[Authority]) -> State {
        let states = join_all(replicas.iter().map(|operations| self.is_ready(operations))).await;
        if states.contains(&true) { State::Ready } else { State::Unavailable }
    }

    async fn is_ready(&self, operations: &Authority) -> bool {
        let Ok(request) = Request::get(format!("http://{operations}/health/ready")).body(upstream::empty())
        else {
            return false;
        };
        let answer = self.client.fetch(request, BOUNDS).await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }
}
