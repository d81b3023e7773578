use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use slipway_db::DbError;
use slipway_kernel::PageRequest;
use uuid::Uuid;

use crate::domain::{AuditFilter, AuditRow, RowHash, Tip};
use crate::schema::audit_log;

/// Any number, as long as every process that adds rows takes the same.
const LOCK: i64 = 0x0051_1bad;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_log, check_for_backend(diesel::pg::Pg))]
struct Row {
    seq: i64,
    event_id: Uuid,
    at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    service: String,
    level: String,
    action: String,
    actor_type: String,
    actor_id: Option<String>,
    target_type: Option<String>,
    target_id: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
    details: String,
    hash: Vec<u8>,
}

/// Writes the same fields as another type.
macro_rules! same_fields {
    ($from:ty => $to:ident) => {
        impl From<$from> for $to {
            fn from(row: $from) -> Self {
                Self {
                    seq: row.seq,
                    event_id: row.event_id,
                    at: row.at,
                    recorded_at: row.recorded_at,
                    service: row.service,
                    level: row.level,
                    action: row.action,
                    actor_type: row.actor_type,
                    actor_id: row.actor_id,
                    target_type: row.target_type,
                    target_id: row.target_id,
                    address: row.address,
                    request_id: row.request_id,
                    details: row.details,
                    hash: row.hash,
                }
            }
        }
    };
}

same_fields!(Row => AuditRow);
same_fields!(AuditRow => Row);

/// Keeps every other process from adding rows until the transaction ends.
pub(crate) fn lock(connection: &mut PgConnection) -> Result<(), DbError> {
    sql_query(format!("SELECT pg_advisory_xact_lock({LOCK})")).execute(connection)?;
    Ok(())
}

/// Finds the last row.
pub(crate) fn find_tip(connection: &mut PgConnection) -> Result<Tip, DbError> {
    let row: Option<(i64, Vec<u8>)> = audit_log::table
        .select((audit_log::seq, audit_log::hash))
        .order(audit_log::seq.desc())
        .first(connection)
        .optional()?;
    Ok(row.map_or(Tip::START, |(seq, hash)| Tip { seq, hash: to_hash(&hash) }))
}

/// Lists those of the events that are on the log already.
pub(crate) fn list_known(connection: &mut PgConnection, events: &[Uuid]) -> Result<Vec<Uuid>, DbError> {
    Ok(audit_log::table
        .filter(audit_log::event_id.eq_any(events))
        .select(audit_log::event_id)
        .load(connection)?)
}

pub(crate) fn insert(connection: &mut PgConnection, rows: Vec<AuditRow>) -> Result<(), DbError> {
    let rows: Vec<Row> = rows.into_iter().map(Row::from).collect();
    diesel::insert_into(audit_log::table).values(rows).execute(connection)?;
    Ok(())
}

/// Lists the rows after a place, in order.
pub(crate) fn list_after(
    connection: &mut PgConnection,
    seq: i64,
    most: i64,
) -> Result<Vec<AuditRow>, DbError> {
    let rows: Vec<Row> = audit_log::table
        .filter(audit_log::seq.gt(seq))
        .select(Row::as_select())
        .order(audit_log::seq)
        .limit(most)
        .load(connection)?;
    Ok(rows.into_iter().map(AuditRow::from).collect())
}

/// Lists the hashes of some rows; those that are not there are left out.
pub(crate) fn list_hashes(connection: &mut PgConnection, places: &[i64]) -> Result<Vec<Tip>, DbError> {
    let rows: Vec<(i64, Vec<u8>)> = audit_log::table
        .filter(audit_log::seq.eq_any(places))
        .select((audit_log::seq, audit_log::hash))
        .load(connection)?;
    Ok(rows.into_iter().map(|(seq, hash)| Tip { seq, hash: to_hash(&hash) }).collect())
}

/// Lists a page of the log, newest first. The page's cursor holds a place.
pub(crate) fn list(
    connection: &mut PgConnection,
    filter: AuditFilter,
    page: &PageRequest,
) -> Result<Vec<AuditRow>, DbError> {
    let mut query = audit_log::table.select(Row::as_select()).into_boxed();
    if let Some(actor) = filter.actor {
        query = query.filter(audit_log::actor_id.eq(actor));
    }
    if let Some(action) = filter.action {
        query = query.filter(audit_log::action.eq(action));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit_log::at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(audit_log::at.lt(to));
    }
    if let Some(after) = page.after() {
        let after = i64::try_from(after.as_u128()).unwrap_or(i64::MAX);
        query = query.filter(audit_log::seq.lt(after));
    }
    let rows: Vec<Row> = query.order(audit_log::seq.desc()).limit(page.fetch_limit()).load(connection)?;
    Ok(rows.into_iter().map(AuditRow::from).collect())
}

/// A hash of another length, which the table's check admits none of, is no row's.
fn to_hash(bytes: &[u8]) -> RowHash {
    bytes.try_into().unwrap_or_default()
}
