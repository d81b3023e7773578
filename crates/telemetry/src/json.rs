//! Log lines as flat JSON objects: the fields of an event and of all spans around it, the innermost winning.

use std::fmt;
use std::io::Write as _;

use chrono::SecondsFormat;
use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::Value;
use slipway_kernel::{Clock as _, SystemClock};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// What is kept of one text field, in bytes.
const MAX_TEXT: usize = 16 * 1024;

/// Writes each event as one line.
pub(crate) struct JsonLayer<W> {
    service: &'static str,
    writer: W,
}

impl<W> JsonLayer<W> {
    pub(crate) fn new(service: &'static str, writer: W) -> Self {
        Self { service, writer }
    }
}

impl<S, W> Layer<S> for JsonLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Line { fields: Fields::default(), service: self.service };
        event.record(&mut line.fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                line.fields.add_missing(outer);
            }
        }
        let mut text = Vec::with_capacity(512);
        if line.write(event, &mut text).is_ok() {
            text.push(b'\n');
            // A log that cannot be written has nowhere to say so.
            let _ = self.writer.make_writer_for(event.metadata()).write_all(&text);
        }
    }
}

struct Line {
    fields: Fields,
    service: &'static str,
}

impl Line {
    fn write(&self, event: &Event<'_>, to: &mut Vec<u8>) -> serde_json::Result<()> {
        let metadata = event.metadata();
        let mut serializer = serde_json::Serializer::new(to);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &SystemClock.now().to_rfc3339_opts(SecondsFormat::Micros, true))?;
        map.serialize_entry("level", &metadata.level().as_str().to_ascii_lowercase())?;
        // A line of the `log` crate brings its own target.
        let target = self.fields.get("log.target").and_then(Value::as_str).unwrap_or(metadata.target());
        map.serialize_entry("target", target)?;
        if self.fields.get("service").is_none() {
            map.serialize_entry("service", self.service)?;
        }
        for (name, value) in &self.fields.0 {
            if !is_inner(name) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

/// Tells the fields that steer the tracing libraries, or that the line itself has.
fn is_inner(name: &str) -> bool {
    name.starts_with("otel.") || name.starts_with("log.") || matches!(name, "time" | "level" | "target")
}

/// The fields of a span or an event, in the order in which they were recorded.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn set(&mut self, field: &Field, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == field.name()) {
            Some((_, known)) => *known = value,
            None => self.0.push((field.name(), value)),
        }
    }

    fn add_missing(&mut self, outer: &Self) {
        for (name, value) in &outer.0 {
            if self.get(name).is_none() {
                self.0.push((name, value.clone()));
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, bounded(value).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, bounded(&format!("{value:?}")).into());
    }
}

fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}
