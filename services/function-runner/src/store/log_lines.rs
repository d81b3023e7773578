//! Queries on log lines.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::{ExecutionId, FunctionId, LogLineId, UserId};
use uuid::Uuid;

use super::stored::{from_text, to_text};
use crate::domain::{LogFilter, LogLine};
use crate::schema::log_lines;

/// PostgreSQL takes 65,535 values in one statement.
const ROWS_PER_STATEMENT: usize = 5_000;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = log_lines, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    function_id: Uuid,
    execution_id: Uuid,
    owner_id: Uuid,
    time: DateTime<Utc>,
    stream: String,
    text: String,
}

/// Lists lines of an owner's function, newest first.
pub(crate) fn list(
    connection: &mut PgConnection,
    owner: UserId,
    filter: LogFilter,
    limit: i64,
) -> Result<Vec<LogLine>, DbError> {
    let mut query = log_lines::table
        .filter(log_lines::owner_id.eq(owner.as_uuid()))
        .filter(log_lines::function_id.eq(filter.function_id.as_uuid()))
        .filter(log_lines::id.lt(filter.before.unwrap_or(Uuid::max())))
        .order(log_lines::id.desc())
        .limit(limit)
        .select(Row::as_select())
        .into_boxed();
    if let Some(execution_id) = filter.execution_id {
        query = query.filter(log_lines::execution_id.eq(execution_id.as_uuid()));
    }
    if let Some(since) = filter.since {
        query = query.filter(log_lines::time.ge(since));
    }
    let rows: Vec<Row> = query.load(connection)?;
    rows.into_iter().map(LogLine::try_from).collect()
}

/// Writes lines, each with its owner and function; those that are there already stay as they are.
pub(crate) fn insert(
    connection: &mut PgConnection,
    lines: impl IntoIterator<Item = (UserId, FunctionId, LogLine)>,
) -> Result<(), DbError> {
    let rows = lines.into_iter().map(Row::try_from).collect::<Result<Vec<_>, _>>()?;
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        diesel::insert_into(log_lines::table).values(chunk).on_conflict_do_nothing().execute(connection)?;
    }
    Ok(())
}

/// Deletes some of an owner's function's lines; returns how many, 0 when none is left.
pub(crate) fn delete_of_function(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
    limit: i64,
) -> Result<usize, DbError> {
    let some = log_lines::table
        .filter(log_lines::owner_id.eq(owner.as_uuid()))
        .filter(log_lines::function_id.eq(function_id.as_uuid()))
        .limit(limit)
        .select(log_lines::id)
        .load::<Uuid>(connection)?;
    Ok(diesel::delete(log_lines::table.filter(log_lines::id.eq_any(some))).execute(connection)?)
}

impl TryFrom<(UserId, FunctionId, LogLine)> for Row {
    type Error = DbError;

    fn try_from((owner, function_id, line): (UserId, FunctionId, LogLine)) -> Result<Self, DbError> {
        Ok(Self {
            id: line.id.as_uuid(),
            function_id: function_id.as_uuid(),
            execution_id: line.execution_id.as_uuid(),
            owner_id: owner.as_uuid(),
            time: line.time,
            stream: to_text(&line.stream)?,
            text: line.text,
        })
    }
}

impl TryFrom<Row> for LogLine {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            id: LogLineId::from(row.id),
            execution_id: ExecutionId::from(row.execution_id),
            time: row.time,
            stream: from_text(row.stream)?,
            text: row.text,
        })
    }
}
