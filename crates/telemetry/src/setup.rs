use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::json::JsonLayer;
use crate::lines::{Gathering, begin_gathering, write_waiting};
use crate::request::PassingOn;
use crate::{LogFormat, TelemetryConfig};

const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// Says why telemetry did not start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The OTLP endpoint cannot be used.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// The process has a subscriber already.
    #[error("telemetry was started twice: {0}")]
    Twice(#[from] TryInitError),
}

/// Keeps telemetry running. Dropping it sends the spans that wait, within five seconds.
#[derive(Debug)]
#[must_use = "dropping the guard stops the export of spans"]
pub struct Guard(pub(crate) SdkTracerProvider);

impl Drop for Guard {
    fn drop(&mut self) {
        write_waiting();
        if let Err(fault) = self.0.shutdown_with_timeout(FLUSH_WITHIN) {
            tracing::warn!(error = %fault, "spans could not all be exported");
        }
    }
}

static EXPORTS_SPANS: AtomicBool = AtomicBool::new(false);

/// Tells whether spans go anywhere: without an endpoint nobody reads them but the log.
pub fn exports_spans() -> bool {
    EXPORTS_SPANS.load(Ordering::Relaxed)
}

/// Starts telemetry for the whole process: logs go to standard output, spans to the OTLP endpoint, panics to the log.
pub fn init(config: &TelemetryConfig) -> Result<Guard, InitError> {
    let provider = tracer_provider(config)?;
    match config.format {
        LogFormat::Json => {
            subscriber(config, &provider, Gathering).try_init()?;
            begin_gathering();
        }
        LogFormat::Pretty => subscriber(config, &provider, std::io::stdout).try_init()?,
    }
    EXPORTS_SPANS.store(config.otlp_endpoint.is_some(), Ordering::Relaxed);
    log_panics();
    Ok(Guard(provider))
}

pub(crate) fn subscriber<W>(
    config: &TelemetryConfig,
    provider: &SdkTracerProvider,
    writer: W,
) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let is_exported = config.otlp_endpoint.is_some();
    let tracer = is_exported.then(|| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("slipway"))
            .with_context_activation(false)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_traced))
    });
    let passing_on = (!is_exported).then(|| PassingOn.with_filter(filter_fn(is_traced)));
    tracing_subscriber::registry().with(tracer).with(passing_on).with(logs(config, writer))
}

pub(crate) fn tracer_provider(config: &TelemetryConfig) -> Result<SdkTracerProvider, ExporterBuildError> {
    let resource = Resource::builder().with_service_name(config.service).build();
    let provider = SdkTracerProvider::builder().with_resource(resource);
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(provider.build()) };
    let traces = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = SpanExporter::builder().with_http().with_endpoint(traces).build()?;
    Ok(provider.with_batch_exporter(exporter).build())
}

fn logs<S, W>(config: &TelemetryConfig, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let targets = config.filter.clone();
    let filter = filter_fn(move |metadata| is_traced(metadata) || is_logged(&targets, metadata));
    match config.format {
        LogFormat::Json => JsonLayer::new(config.service, writer).with_filter(filter).boxed(),
        LogFormat::Pretty => {
            let colours = std::io::stdout().is_terminal();
            let lines = tracing_subscriber::fmt::layer().compact().with_ansi(colours).with_writer(writer);
            lines.with_filter(filter).boxed()
        }
    }
}

/// Spans are kept whatever the log level is: they carry the ids of the lines that are logged.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO
}

fn is_logged(targets: &Targets, metadata: &Metadata<'_>) -> bool {
    targets.would_enable(metadata.target(), metadata.level())
}

fn log_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(
            panic.message = panic.payload_as_str(),
            panic.location = panic.location().map(tracing::field::display),
            "a task panicked"
        );
        write_waiting();
        print(panic);
    }));
}
