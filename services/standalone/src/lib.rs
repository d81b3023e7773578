#![doc = include_str!("../README.md")]

mod openapi;
mod supervise;

use slipway_auth::Auth;
use slipway_config::Reader;
use slipway_function_runner::FunctionRunner;
use slipway_gateway::Gateway;
use slipway_web::{BoxError, Service};
use tokio_util::sync::CancellationToken;

pub use openapi::openapi;
pub use supervise::supervise;

/// The settings of every service.
#[derive(Debug, Clone)]
pub struct Config {
    auth: <Auth as Service>::Config,
    functions: <FunctionRunner as Service>::Config,
    gateway: <Gateway as Service>::Config,
}

impl Config {
    /// Reads the settings of every service.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            auth: Auth::read(reader),
            functions: FunctionRunner::read(reader),
            gateway: Gateway::read(reader),
        }
    }
}

/// Brings every database up to date. Blocking.
pub fn migrate(config: &Config) -> Result<(), BoxError> {
    Auth::migrate(&config.auth)?;
    FunctionRunner::migrate(&config.functions)?;
    Gateway::migrate(&config.gateway)
}

/// Tells whether auth has a command of this name.
pub fn is_command(name: &str) -> bool {
    Auth::COMMANDS.iter().any(|(known, _)| *known == name)
}

/// Runs a command of auth's; returns what it has to say. Blocking.
pub fn command(config: &Config, name: &str) -> Result<String, BoxError> {
    Auth::command(&config.auth, name).unwrap_or_else(|| Err(format!("there is no command {name}").into()))
}

/// Runs every service until `stop` is cancelled. The gateway stops first, so that what it let in can finish behind it.
pub async fn run(config: Config, stop: CancellationToken) {
    let behind = CancellationToken::new();
    let services = [
        tokio::spawn(supervise::<Auth>(config.auth, behind.clone())),
        tokio::spawn(supervise::<FunctionRunner>(config.functions, behind.clone())),
    ];
    supervise::<Gateway>(config.gateway, stop).await;
    behind.cancel();
    for service in services {
        if let Err(fault) = service.await {
            tracing::error!(error = %fault, "a supervisor did not come to its end");
        }
    }
}
