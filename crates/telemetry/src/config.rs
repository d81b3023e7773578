use std::str::FromStr;

use slipway_config::Reader;
use tracing::Level;
use tracing_subscriber::filter::Targets;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("expected json or pretty"),
        }
    }
}

/// What a program says of itself, and where.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// The program, such as `auth`.
    pub service: &'static str,
    /// How log lines look.
    pub format: LogFormat,
    /// Which events are logged: a level, or levels by target, such as `info,slipway_auth=debug`.
    pub filter: Targets,
    /// The base URL of an OTLP receiver (HTTP, protobuf). Without it no spans are exported.
    pub otlp_endpoint: Option<String>,
}

impl TelemetryConfig {
    /// Reads `LOG_FORMAT` (json), `LOG_LEVEL` (info) and `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn read(service: &'static str, reader: &mut Reader<'_>) -> Self {
        Self {
            service,
            format: reader.or("LOG_FORMAT", LogFormat::Json),
            filter: reader.or("LOG_LEVEL", Targets::new().with_default(Level::INFO)),
            otlp_endpoint: reader.optional("OTEL_EXPORTER_OTLP_ENDPOINT"),
        }
    }
}
