use chrono::{DateTime, Utc};
use serde_json::Map;
use slipway_kernel::AuditEventId;
use slipway_models::audit::{
    AuditActor, AuditEntryBody, AuditEvent, AuditFault, AuditFaultReason, AuditHead, AuditLevel, AuditTarget,
};
use uuid::Uuid;

/// What a row's bytes begin with; another way to write rows would have another.
const FORMAT: &[u8] = b"slipway-audit-1";

/// What a sealed address begins with.
const SEALED: &str = "sealed:";

/// The hash of a row, which chains it to the one before.
pub(crate) type RowHash = [u8; 32];

/// How far the log goes: its last row and that row's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) seq: i64,
    pub(crate) hash: RowHash,
}

impl Tip {
    /// Before the first row.
    pub(crate) const START: Self = Self { seq: 0, hash: [0; 32] };

    /// Shows the tip; none of a log that is empty.
    pub(crate) fn shown(&self) -> Option<AuditHead> {
        (self.seq > 0).then(|| AuditHead { seq: self.seq, hash: hex::encode(self.hash) })
    }
}

/// A row of the audit log, in the very words in which the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditRow {
    pub(crate) seq: i64,
    pub(crate) event_id: Uuid,
    pub(crate) at: DateTime<Utc>,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) service: String,
    pub(crate) level: String,
    pub(crate) action: String,
    pub(crate) actor_type: String,
    pub(crate) actor_id: Option<String>,
    pub(crate) target_type: Option<String>,
    pub(crate) target_id: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) details: String,
    pub(crate) hash: Vec<u8>,
}

impl AuditRow {
    /// Writes an event that `service` told of as the row of a place, with its address as it was sealed. It has no hash yet.
    pub(crate) fn new(
        seq: i64,
        service: &str,
        event: AuditEvent,
        sealed_address: Option<String>,
        recorded_at: DateTime<Utc>,
    ) -> Self {
        let (actor_type, actor_id) = match event.actor {
            AuditActor::User { id } => ("user", Some(id.to_string())),
            AuditActor::Service { id } => ("service", Some(id)),
            AuditActor::Anonymous => ("anonymous", None),
        };
        let (target_type, target_id) = event.target.map(|target| (target.kind, target.id)).unzip();
        Self {
            seq,
            event_id: event.id.as_uuid(),
            at: to_micros(event.at),
            recorded_at: to_micros(recorded_at),
            service: service.to_owned(),
            level: event.level.as_str().to_owned(),
            action: event.action,
            actor_type: actor_type.to_owned(),
            actor_id,
            target_type,
            target_id,
            address: sealed_address.map(|sealed| format!("{SEALED}{sealed}")),
            request_id: event.request_id,
            details: serde_json::Value::Object(event.details).to_string(),
            hash: Vec::new(),
        }
    }

    /// Returns the address where it is sealed. Rows from before addresses were have it as it is.
    pub(crate) fn sealed_address(&self) -> Option<&str> {
        self.address.as_deref()?.strip_prefix(SEALED)
    }

    /// Writes what the row's hash is of: the hash of the row before and every column, each with its length, so that no
    /// two rows are written alike.
    pub(crate) fn hashed_bytes(&self, before: &RowHash) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        let numbers = [self.seq, self.at.timestamp_micros(), self.recorded_at.timestamp_micros()];
        let texts = [&self.service, &self.level, &self.action, &self.actor_type, &self.details];
        let optional = [&self.actor_id, &self.target_type, &self.target_id, &self.address, &self.request_id];
        put(&mut bytes, FORMAT);
        put(&mut bytes, before);
        put(&mut bytes, self.event_id.as_bytes());
        for number in numbers {
            put(&mut bytes, &number.to_be_bytes());
        }
        for text in texts {
            put(&mut bytes, text.as_bytes());
        }
        for text in optional {
            bytes.push(u8::from(text.is_some()));
            put(&mut bytes, text.as_deref().unwrap_or_default().as_bytes());
        }
        bytes
    }
}

impl From<AuditRow> for AuditEntryBody {
    /// A row that was tampered with may hold anything: what cannot be read is shown as nothing.
    fn from(row: AuditRow) -> Self {
        let id = row.actor_id.unwrap_or_default();
        let actor = match (row.actor_type.as_str(), id.parse()) {
            ("user", Ok(id)) => AuditActor::User { id },
            ("service", _) => AuditActor::Service { id },
            _ => AuditActor::Anonymous,
        };
        let event = AuditEvent {
            id: AuditEventId::from(row.event_id),
            at: row.at,
            level: AuditLevel::from_name(&row.level).unwrap_or(AuditLevel::Warning),
            action: row.action,
            actor,
            target: row.target_type.zip(row.target_id).map(|(kind, id)| AuditTarget { kind, id }),
            address: row.address.and_then(|address| address.parse().ok()),
            request_id: row.request_id,
            details: serde_json::from_str(&row.details).unwrap_or_else(|_| Map::new()),
        };
        Self {
            seq: row.seq,
            service: row.service,
            recorded_at: row.recorded_at,
            event,
            hash: hex::encode(row.hash),
        }
    }
}

/// Which rows are asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditFilter {
    pub(crate) actor: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) to: Option<DateTime<Utc>>,
}

/// Says what is wrong with a row, in words too.
pub(crate) fn fault(seq: i64, reason: AuditFaultReason) -> AuditFault {
    let detail = match reason {
        AuditFaultReason::Changed => format!("row {seq} is not what was written"),
        AuditFaultReason::Missing => format!("row {seq} is missing, and later ones are there"),
        AuditFaultReason::TailCut => {
            format!(
                "the log was cut: row {seq} and all after it are gone, and a head that was signed has them"
            )
        }
        AuditFaultReason::Rewritten => {
            format!("row {seq} is another than its signed head has: the log was written anew up to there")
        }
        AuditFaultReason::HeadChanged => format!("the signed head of row {seq} was changed"),
    };
    AuditFault { seq, reason, detail }
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
    bytes.extend_from_slice(part);
}

/// PostgreSQL keeps microseconds.
fn to_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> AuditRow {
        let time = DateTime::from_timestamp_micros(1_800_000_000_000_000).unwrap();
        AuditRow {
            seq: 7,
            event_id: Uuid::from_u128(1),
            at: time,
            recorded_at: time,
            service: "functions".to_owned(),
            level: "info".to_owned(),
            action: "function.deploy".to_owned(),
            actor_type: "anonymous".to_owned(),
            actor_id: None,
            target_type: Some("function".to_owned()),
            target_id: Some("x".to_owned()),
            address: None,
            request_id: None,
            details: "{}".to_owned(),
            hash: Vec::new(),
        }
    }

    #[test]
    fn whatever_is_changed_in_a_row_changes_what_is_hashed() {
        let original = row().hashed_bytes(&[0; 32]);
        assert_ne!(row().hashed_bytes(&[1; 32]), original);
        let changes: [fn(&mut AuditRow); 15] = [
            |row| row.seq = 8,
            |row| row.event_id = Uuid::from_u128(2),
            |row| row.at += chrono::TimeDelta::microseconds(1),
            |row| row.recorded_at += chrono::TimeDelta::microseconds(1),
            |row| row.service.push('x'),
            |row| row.level = "warning".to_owned(),
            |row| row.action.push('x'),
            |row| row.actor_type = "user".to_owned(),
            |row| row.actor_id = Some(String::new()),
            |row| row.target_type = None,
            |row| row.target_id = Some("y".to_owned()),
            |row| row.address = Some("::1".to_owned()),
            |row| row.request_id = Some("1".to_owned()),
            |row| row.details = "{\"a\":1}".to_owned(),
            // What moves from one column to the next.
            |row| (row.target_type, row.target_id) = (Some("functionx".to_owned()), Some(String::new())),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = row();
            change(&mut other);
            assert_ne!(other.hashed_bytes(&[0; 32]), original, "change {index}");
        }
    }
}
