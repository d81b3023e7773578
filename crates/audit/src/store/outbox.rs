use diesel::prelude::*;
use diesel::result::Error;
use serde::{Deserialize, Serialize};
use slipway_db::DbError;
use slipway_models::audit::{AuditEvent, ORIGIN};
use slipway_sealing::AddressSeal;

use crate::schema::audit_outbox;

/// An event that is not yet on the log.
pub(crate) struct Waiting {
    pub(crate) position: i64,
    pub(crate) event: StoredEvent,
}

/// An event as a row has it: where it came from is sealed.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredEvent {
    #[serde(flatten)]
    pub(crate) event: AuditEvent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed_address: Option<String>,
}

impl StoredEvent {
    /// Returns the event with its address. One that does not open is logged and left out: the rest must be told.
    pub(crate) fn opened(self, seal: &AddressSeal) -> AuditEvent {
        let Self { mut event, sealed_address } = self;
        if let Some(sealed) = sealed_address {
            event.address = seal
                .open(ORIGIN, &sealed)
                .inspect_err(|fault| tracing::error!(error = %fault, "the address of an audit event is lost"))
                .ok();
        }
        event
    }
}

pub(crate) fn insert(connection: &mut PgConnection, event: &StoredEvent) -> Result<(), DbError> {
    let text = serde_json::to_string(event).map_err(|fault| Error::SerializationError(fault.into()))?;
    diesel::insert_into(audit_outbox::table).values(audit_outbox::event.eq(text)).execute(connection)?;
    Ok(())
}

/// Lists the oldest events.
pub(crate) fn list(connection: &mut PgConnection, most: i64) -> Result<Vec<Waiting>, DbError> {
    let rows: Vec<(i64, String)> = audit_outbox::table
        .select((audit_outbox::position, audit_outbox::event))
        .order(audit_outbox::position)
        .limit(most)
        .load(connection)?;
    rows.into_iter()
        .map(|(position, text)| {
            let event =
                serde_json::from_str(&text).map_err(|fault| Error::DeserializationError(fault.into()))?;
            Ok(Waiting { position, event })
        })
        .collect()
}

pub(crate) fn delete(connection: &mut PgConnection, positions: &[i64]) -> Result<(), DbError> {
    diesel::delete(audit_outbox::table.filter(audit_outbox::position.eq_any(positions)))
        .execute(connection)?;
    Ok(())
}
