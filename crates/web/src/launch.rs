//! What every service's `main` does: read the settings, start to see, then migrate or serve until it is told to stop.

use std::process::ExitCode;
use std::sync::Arc;

use slipway_config::{EXIT_USAGE, Reader, Settings};
use slipway_kernel::{SharedClock, SystemClock};
use slipway_telemetry::{Metrics, MetricsError, TelemetryConfig};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;

use crate::Application;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Any error, on its way to the operator.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// `EX_SOFTWARE` of `sysexits.h`.
const EXIT_SOFTWARE: u8 = 70;

/// What a service gets from the program that it runs in.
pub struct Context {
    /// The time.
    pub clock: SharedClock,
    /// The service's own metrics.
    pub metrics: Metrics,
    /// Is cancelled when the service has to stop.
    pub stop: CancellationToken,
}

impl Context {
    /// Makes the context of a service that runs for real.
    pub fn new(service: &'static str, stop: CancellationToken) -> Result<Self, MetricsError> {
        Ok(Self { clock: Arc::new(SystemClock), metrics: Metrics::new(service)?, stop })
    }
}

/// A service, as `main` and standalone run it.
pub trait Service: Send + 'static {
    /// The name in logs, metrics and settings.
    const NAME: &'static str;
    /// What it does, in a line, for `--help`.
    const ABOUT: &'static str;
    /// What it does as a program beside serving and `migrate`: the words of each command, and what it is for.
    const COMMANDS: &'static [(&'static str, &'static str)] = &[];
    /// Its settings.
    type Config: Clone + Send + Sync + 'static;

    /// Reads the settings; every fault goes to the reader.
    fn read(reader: &mut Reader<'_>) -> Self::Config;

    /// Brings the database up to date. Blocking.
    fn migrate(config: &Self::Config) -> Result<(), BoxError>;

    /// Runs one of [`Service::COMMANDS`]; returns what it has to say, or nothing where there is no such command. Blocking.
    fn command(_config: &Self::Config, _name: &str) -> Option<Result<String, BoxError>> {
        None
    }

    /// Builds the service: binds its ports and starts its background work.
    fn build(
        config: Self::Config,
        context: Context,
    ) -> impl Future<Output = Result<Application, BoxError>> + Send;

    /// Describes the routes.
    fn openapi() -> OpenApi;
}

/// Runs one service as a program of its own; returns its exit status: 64 for settings at fault, 70 when it fails.
pub async fn launch<S: Service>() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = arguments.join(" ");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["migrate"] => {}
        ["--version"] => return shown(concat!("slipway ", env!("CARGO_PKG_VERSION"))),
        ["--help" | "-h"] => return shown(&usage::<S>()),
        _ if S::COMMANDS.iter().any(|(name, _)| *name == command) => {}
        _ => {
            eprintln!("{}", usage::<S>());
            return ExitCode::from(EXIT_USAGE);
        }
    }
    let (config, telemetry) = match read_settings(S::NAME, S::read) {
        Ok(read) => read,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let _telemetry = match slipway_telemetry::init(&telemetry) {
        Ok(guard) => guard,
        Err(fault) => {
            eprintln!("{fault}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let outcome = match command.as_str() {
        "" => serve::<S>(config).await,
        "migrate" => S::migrate(&config),
        command => match S::command(&config, command) {
            Some(said) => said.map(|text| println!("{text}")),
            None => Err(format!("there is no command {command}").into()),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            tracing::error!(error = %cause, "{} failed", S::NAME);
            ExitCode::from(EXIT_SOFTWARE)
        }
    }
}

/// Reads settings from the environment: those of `read`, and those of telemetry for a program called `name`.
pub fn read_settings<C>(
    name: &'static str,
    read: impl FnOnce(&mut Reader<'_>) -> C,
) -> Result<(C, TelemetryConfig), BoxError> {
    let settings = Settings::from_environment()?;
    let mut reader = Reader::new(&settings);
    let config = read(&mut reader);
    let telemetry = TelemetryConfig::read(name, &mut reader);
    reader.finish()?;
    Ok((config, telemetry))
}

/// Returns a token that is cancelled when the process is told to stop: SIGTERM or SIGINT.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        tracing::info!("stopping");
        told.cancel();
    });
    Ok(stop)
}

async fn serve<S: Service>(config: S::Config) -> Result<(), BoxError> {
    let stop = stop_on_signal()?;
    let application = S::build(config, Context::new(S::NAME, stop.clone())?).await?;
    tracing::info!(
        server.address = %application.address(),
        operations.address = %application.operations_address(),
        "serving"
    );
    Ok(application.run_until_stopped(stop).await?)
}

fn usage<S: Service>() -> String {
    let commands: Vec<_> = S::COMMANDS.iter().map(|(name, about)| format!("`{name}` {about}.\n")).collect();
    let commands = commands.concat();
    format!(
        "slipway-{name}: {about}\n\n\
         Usage: slipway-{name} [COMMAND]\n\n\
         Without a word it serves until SIGTERM or SIGINT; `migrate` brings its database up to date and ends.\n\
         {commands}\
         Settings come from the environment and from the TOML file that SLIPWAY_CONFIG names: see README.md.",
        name = S::NAME,
        about = S::ABOUT,
    )
}

fn shown(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}
