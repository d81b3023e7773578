//! Queries on log lines.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use slipway_db::DbError;
use slipway_kernel::{ExecutionId, FunctionId, LogLineId, UserId};
use uuid::Uuid;

use super::stored::{from_text, to_text};
use crate::domain::{LogFilter, LogLine};
use crate::schema::log_lines;

/// PostgreSQL takes 65,535 values in one statement.
const ROWS_PER_STATEMENT: usize = 5_000;
/// How many lines one search looks at: a fraction of a second.
const SEARCHED: i64 = 100_000;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = log_lines, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    function_id: Uuid,
    execution_id: Uuid,
    owner_id: Uuid,
    time: DateTime<Utc>,
    stream: String,
    text: String,
}

/// Lines, and how far they were looked for.
pub(crate) struct Stretch {
    pub(crate) lines: Vec<LogLine>,
    /// The last line that was looked at, where there may be more beyond it.
    pub(crate) end: Option<Uuid>,
}

/// Lists lines of an owner's function that were recorded before the line `before`, newest first.
///
/// A search reads at most [`SEARCHED`] lines. There is no index over the text: the service's role may not be able to
/// have `pg_trgm`, and every line would pay for what few are searched for.
pub(crate) fn list(
    connection: &mut PgConnection,
    owner: UserId,
    filter: &LogFilter,
    before: Uuid,
    limit: i64,
) -> Result<Stretch, DbError> {
    let before = before.min(filter.last_id());
    let id = log_lines::id;
    let range =
        || within_owner(owner, filter.function_id).filter(id.lt(before)).filter(id.ge(filter.first_id()));
    let end = if is_search(filter) {
        range().select(id).order(id.desc()).offset(SEARCHED - 1).first::<Uuid>(connection).optional()?
    } else {
        None
    };
    let query = matching(range().filter(id.ge(end.unwrap_or(Uuid::nil()))), filter);
    let rows: Vec<Row> = query.select(Row::as_select()).order(id.desc()).limit(limit).load(connection)?;
    Ok(Stretch { lines: rows.into_iter().map(LogLine::try_from).collect::<Result<_, _>>()?, end })
}

/// Lists lines of an owner's function that were recorded after the line `after`, oldest first; otherwise as [`list`].
pub(crate) fn list_after(
    connection: &mut PgConnection,
    owner: UserId,
    filter: &LogFilter,
    after: Uuid,
    limit: usize,
) -> Result<Stretch, DbError> {
    let after = after.max(filter.first_id());
    let id = log_lines::id;
    let range = || within_owner(owner, filter.function_id).filter(id.gt(after));
    let mut end = if is_search(filter) {
        range().select(id).order(id.asc()).offset(SEARCHED - 1).first::<Uuid>(connection).optional()?
    } else {
        None
    };
    let query = matching(range().filter(id.le(end.unwrap_or(Uuid::max()))), filter);
    let rows: Vec<Row> = query
        .select(Row::as_select())
        .order(id.asc())
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(connection)?;
    if rows.len() == limit {
        end = rows.last().map(|last| last.id);
    }
    Ok(Stretch { lines: rows.into_iter().map(LogLine::try_from).collect::<Result<_, _>>()?, end })
}

type Query = log_lines::BoxedQuery<'static, Pg>;

fn within_owner(owner: UserId, function_id: FunctionId) -> Query {
    log_lines::table
        .filter(log_lines::owner_id.eq(owner.as_uuid()))
        .filter(log_lines::function_id.eq(function_id.as_uuid()))
        .into_boxed()
}

/// Tells whether most lines may have to be looked at in vain.
fn is_search(filter: &LogFilter) -> bool {
    filter.query.is_some() || filter.stream.is_some()
}

fn matching(mut query: Query, filter: &LogFilter) -> Query {
    if let Some(execution_id) = filter.execution_id {
        query = query.filter(log_lines::execution_id.eq(execution_id.as_uuid()));
    }
    if let Some(since) = filter.since {
        query = query.filter(log_lines::time.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(log_lines::time.lt(until));
    }
    if let Some(stream) = filter.stream {
        query = query.filter(log_lines::stream.eq(stream.as_str()));
    }
    if let Some(text) = &filter.query {
        // In the collation "C" nothing but a to z has two cases, as in `LogFilter::admits`.
        let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        query = query.filter(sql::<Bool>("text COLLATE \"C\" ILIKE ").bind::<Text, _>(pattern));
    }
    query
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

/// Deletes some of an owner's function's lines that are older than `oldest`, or beyond the newest `count`; returns how
/// many, 0 when none is left.
pub(crate) fn sweep(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
    oldest: Uuid,
    count: u32,
    limit: i64,
) -> Result<usize, DbError> {
    let id = log_lines::id;
    let own = || within_owner(owner, function_id);
    let beyond =
        own().select(id).order(id.desc()).offset(count.into()).first::<Uuid>(connection).optional()?;
    let some = own()
        .filter(id.le(oldest.max(beyond.unwrap_or(Uuid::nil()))))
        .order(id.asc())
        .limit(limit)
        .select(id)
        .load::<Uuid>(connection)?;
    Ok(diesel::delete(log_lines::table.filter(id.eq_any(some))).execute(connection)?)
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
