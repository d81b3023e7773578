//! A service's listeners, over HTTP.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod events;
mod requests;
mod stop;

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::web::ServiceConfig;
use slipway_telemetry::Metrics;
use slipway_web::{Application, Readiness, ServerConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far above what anything here takes.
const BOUND: Duration = Duration::from_secs(30);

/// A service with routes of a test's own.
struct Running {
    base: String,
    client: reqwest::Client,
    stop: CancellationToken,
    ended: JoinHandle<std::io::Result<()>>,
}

fn start(drain: Duration, routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) -> Running {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = ServerConfig { address: free, operations_address: free, workers: 1, drain };
    let metrics = Metrics::new("tried").unwrap();
    let application = Application::bind("tried", &config, metrics, Readiness::default(), routes).unwrap();
    let base = format!("http://{}", application.address());
    let stop = CancellationToken::new();
    let ended = tokio::spawn(application.run_until_stopped(stop.clone()));
    Running { base, client: reqwest::Client::builder().no_proxy().build().unwrap(), stop, ended }
}

impl Running {
    async fn get(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(format!("{}{path}", self.base)).send().await
    }

    async fn stopped(self) {
        self.stop.cancel();
        tokio::time::timeout(BOUND, self.ended).await.unwrap().unwrap().unwrap();
    }
}
