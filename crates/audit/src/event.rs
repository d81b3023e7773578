use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use slipway_kernel::{AuditEventId, Origin, SealedAddress};
use slipway_models::audit::{AuditActor, AuditEvent, AuditTarget};

use crate::Action;
use crate::store::outbox::StoredEvent;

/// The most bytes of an event's details, as JSON.
const MAX_DETAILS_BYTES: usize = 4 * 1024;
const MAX_NAME: usize = 64;
const MAX_TARGET: usize = 256;

/// An event on its way to the audit trail. Whatever it is given, it keeps the bounds that [`check`] has.
#[derive(Debug, Clone)]
pub struct Event(AuditEvent, Option<SealedAddress>);

/// Names what is out of bounds in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} of the audit event is too long, or not printable")]
pub struct InvalidEvent(&'static str);

impl Event {
    /// Says that somebody did something.
    pub fn new(action: Action, actor: AuditActor, at: DateTime<Utc>) -> Self {
        let event = AuditEvent {
            id: AuditEventId::generate(),
            at,
            level: action.level,
            action: action.name.to_owned(),
            actor,
            target: None,
            address: None,
            request_id: None,
            details: Map::new(),
        };
        Self(event, None)
    }

    /// Says where the request came from.
    #[must_use]
    pub fn from(mut self, origin: &Origin) -> Self {
        self.1.clone_from(&origin.address);
        self.0.request_id = Some(printable(&origin.request_id, MAX_NAME)).filter(|id| !id.is_empty());
        self
    }

    /// Says what it was done to.
    #[must_use]
    pub fn on(mut self, kind: &'static str, id: &impl ToString) -> Self {
        let id = printable(&id.to_string(), MAX_TARGET);
        self.0.target = Some(AuditTarget { kind: kind.to_owned(), id });
        self
    }

    /// Adds what else there is to say; where that gets too long, only that there was more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.details.insert(name.to_owned(), value.into());
        if details_bytes(&self.0) > MAX_DETAILS_BYTES {
            self.0.details.remove(name);
            self.0.details.insert("shortened".to_owned(), Value::Bool(true));
        }
        self
    }

    pub(crate) fn into_stored(self) -> StoredEvent {
        StoredEvent { event: self.0, sealed_address: self.1.map(|sealed| sealed.as_str().to_owned()) }
    }
}

/// Checks an event that another service tells of.
pub fn check(event: &AuditEvent) -> Result<(), InvalidEvent> {
    let is_action = event.action.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte));
    let actor = match &event.actor {
        AuditActor::Service { id } => id,
        AuditActor::User { .. } | AuditActor::Anonymous => "",
    };
    let (kind, id) = event.target.as_ref().map_or(("", ""), |target| (&target.kind, &target.id));
    let request_id = event.request_id.as_deref().unwrap_or_default();
    let checks = [
        ("the action", is_action && !event.action.is_empty() && fits(&event.action, MAX_NAME)),
        ("the actor", fits(actor, MAX_NAME)),
        ("the target", fits(kind, MAX_NAME) && fits(id, MAX_TARGET)),
        ("the request id", fits(request_id, MAX_NAME)),
        ("the details", details_bytes(event) <= MAX_DETAILS_BYTES),
    ];
    checks.into_iter().find(|(_, is_good)| !is_good).map_or(Ok(()), |(name, _)| Err(InvalidEvent(name)))
}

fn fits(text: &str, most: usize) -> bool {
    text.len() <= most && !text.chars().any(char::is_control)
}

fn printable(text: &str, most: usize) -> String {
    let mut short: String = text.chars().filter(|character| !character.is_control()).collect();
    short.truncate(short.floor_char_boundary(most));
    short
}

fn details_bytes(event: &AuditEvent) -> usize {
    serde_json::to_string(&event.details).map_or(usize::MAX, |text| text.len())
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    fn event() -> Event {
        let at = Utc.with_ymd_and_hms(2026, 1, 10, 12, 0, 0).unwrap();
        Event::new(Action::FUNCTION_DEPLOY, AuditActor::Anonymous, at)
    }

    #[test]
    fn whatever_an_event_is_given_it_keeps_its_bounds() {
        let long = "ü\u{0}\n".repeat(10_000);
        let event = event()
            .from(&Origin { address: None, request_id: long.clone() })
            .on("function", &long)
            .with("name", "hello")
            .with("long", long.clone())
            .with("version", 7);
        assert_eq!(check(&event.0), Ok(()));
        let details = Value::Object(event.0.details);
        assert_eq!(details, serde_json::json!({"name": "hello", "shortened": true, "version": 7}));
    }

    #[test]
    fn an_event_out_of_bounds_is_refused_and_what_is_at_fault_named() {
        let mut bad = event().0;
        bad.action = "Function deployed".to_owned();
        assert_eq!(
            check(&bad).unwrap_err().to_string(),
            "the action of the audit event is too long, or not printable"
        );
        let mut bad = event().0;
        bad.request_id = Some("a\nb".to_owned());
        assert_eq!(check(&bad), Err(InvalidEvent("the request id")));
        let mut bad = event().0;
        bad.details.insert("x".to_owned(), "x".repeat(MAX_DETAILS_BYTES).into());
        assert_eq!(check(&bad), Err(InvalidEvent("the details")));
    }
}
