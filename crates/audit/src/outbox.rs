use slipway_db::{DbError, PgConnection};
use slipway_models::audit::AuditEvent;
use slipway_sealing::AddressSeal;

use crate::{Event, store};

/// Puts an event on the trail, in the caller's transaction.
pub fn record(connection: &mut PgConnection, event: Event) -> Result<(), DbError> {
    store::outbox::insert(connection, &event.into_stored())
}

/// Takes the oldest events off the trail, in the caller's transaction: it puts them onto the log in the same one.
/// `seal` is that of the requests that they came from.
pub fn take(
    connection: &mut PgConnection,
    most: i64,
    seal: &AddressSeal,
) -> Result<Vec<AuditEvent>, DbError> {
    let waiting = store::outbox::list(connection, most)?;
    let positions: Vec<i64> = waiting.iter().map(|waiting| waiting.position).collect();
    store::outbox::delete(connection, &positions)?;
    Ok(waiting.into_iter().map(|waiting| waiting.event.opened(seal)).collect())
}
