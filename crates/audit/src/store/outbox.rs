use diesel::prelude::*;
use diesel::result::Error;
use slipway_db::DbError;
use slipway_models::audit::AuditEvent;

use crate::schema::audit_outbox;

/// An event that is not yet on the log.
pub(crate) struct Waiting {
    pub(crate) position: i64,
    pub(crate) event: AuditEvent,
}

pub(crate) fn insert(connection: &mut PgConnection, event: &AuditEvent) -> Result<(), DbError> {
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
