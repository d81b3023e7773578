//! What keeps the services of one process running.
#![expect(clippy::panic, reason = "a test that panics has said what is wrong")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::web;
use slipway_config::Reader;
use slipway_standalone::supervise;
use slipway_web::{Application, BoxError, Context, Readiness, ServerConfig, Service, resource};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;

/// A service that panics in its first life, cannot start its second, and serves in its third.
struct Mortal;

#[derive(Clone)]
struct MortalConfig {
    address: SocketAddr,
    lives: Arc<AtomicUsize>,
}

impl Service for Mortal {
    const NAME: &'static str = "mortal";
    const ABOUT: &'static str = "dies";
    type Config = MortalConfig;

    fn read(_: &mut Reader<'_>) -> MortalConfig {
        panic!("the test makes the settings")
    }

    fn migrate(_: &MortalConfig) -> Result<(), BoxError> {
        Ok(())
    }

    async fn build(config: MortalConfig, context: Context) -> Result<Application, BoxError> {
        match config.lives.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("the first life ends here"),
            1 => Err("the second cannot start".into()),
            _ => {
                let server = ServerConfig {
                    address: config.address,
                    operations_address: SocketAddr::from(([127, 0, 0, 1], 0)),
                    workers: 1,
                    drain: Duration::from_secs(1),
                };
                Ok(Application::bind(Self::NAME, &server, context.metrics, Readiness::default(), |app| {
                    app.service(resource("/alive").route(web::get().to(async || "yes")));
                })?)
            }
        }
    }

    fn openapi() -> OpenApi {
        panic!("nobody asks")
    }
}

#[tokio::test]
async fn a_service_that_dies_is_built_anew() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let lives = Arc::new(AtomicUsize::new(0));
    let stop = CancellationToken::new();
    let config = MortalConfig { address, lives: Arc::clone(&lives) };
    let supervisor = tokio::spawn(supervise::<Mortal>(config, stop.clone()));

    let client = reqwest::Client::builder().build().unwrap();
    let answered = async {
        loop {
            if let Ok(answer) = client.get(format!("http://{address}/alive")).send().await {
                return answer.text().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(30), answered).await.unwrap(), "yes");
    assert_eq!(lives.load(Ordering::SeqCst), 3);

    stop.cancel();
    tokio::time::timeout(Duration::from_secs(30), supervisor).await.unwrap().unwrap();
}
