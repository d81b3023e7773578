mod export;
mod logs;

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::Level;
use tracing_subscriber::filter::Targets;

use crate::{IncomingRequest, LogFormat, TelemetryConfig};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn config() -> TelemetryConfig {
    TelemetryConfig {
        service: "standalone",
        format: LogFormat::Json,
        filter: Targets::new().with_default(Level::INFO),
        otlp_endpoint: None,
    }
}

fn request(traceparent: Option<&'static str>) -> IncomingRequest<'static> {
    IncomingRequest {
        service: "auth",
        method: "GET",
        request_id: "0190f5c8-0000-7000-8000-000000000001",
        traceparent,
        tracestate: None,
    }
}

/// Takes log lines in place of standard output.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn read(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
