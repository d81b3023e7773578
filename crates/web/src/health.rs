//! The operations listener: liveness, readiness and metrics. It is never the public one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use slipway_telemetry::Metrics;

use crate::Problem;

const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What a service needs in order to serve. Each dependency is asked when readiness is.
#[derive(Clone, Default)]
pub struct Readiness(Vec<(&'static str, Check)>);

#[derive(Serialize)]
struct ReadinessBody {
    ready: bool,
    dependencies: BTreeMap<&'static str, String>,
}

impl Readiness {
    /// Adds a dependency; `check` says what is wrong with it. A check that takes over 2 s counts as failed.
    #[must_use]
    pub fn with<F>(mut self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.0.push((name, Arc::new(move || Box::pin(check()))));
        self
    }

    async fn ask(&self) -> ReadinessBody {
        let asked = self.0.iter().map(|(name, check)| async move {
            let state = match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
                Ok(Ok(())) => "ok".to_owned(),
                Ok(Err(fault)) => fault,
                Err(_) => format!("no answer within {} s", CHECK_TIMEOUT.as_secs()),
            };
            (*name, state)
        });
        let dependencies: BTreeMap<_, _> = join_all(asked).await.into_iter().collect();
        ReadinessBody { ready: dependencies.values().all(|state| state == "ok"), dependencies }
    }
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/health/live", web::get().to(live))
        .route("/health/ready", web::get().to(ready))
        .route("/metrics", web::get().to(metrics));
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "live": true }))
}

async fn ready(readiness: web::Data<Readiness>) -> HttpResponse {
    let body = readiness.ask().await;
    if body.ready { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}

async fn metrics(metrics: web::Data<Metrics>) -> Result<HttpResponse, Problem> {
    let text = metrics.render().map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4")).body(text))
}
