//! Queries on executions.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::define_sql_function;
use diesel::prelude::*;
use diesel::sql_types::{self, Array};
use diesel::upsert::excluded;
use serde_json::Value;
use slipway_db::DbError;
use slipway_kernel::{ExecutionId, FunctionId, UserId};
use uuid::Uuid;

use super::stored::{from_json, from_text, to_json, to_text};
use crate::domain::{Execution, ExecutionFilter, SignatureMark, SignedBy};
use crate::schema::{executions, functions, sweeps};

define_sql_function! {
    /// The later of two ids.
    fn greatest(first: sql_types::Uuid, second: sql_types::Uuid) -> sql_types::Uuid;
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = executions, treat_none_as_null = true, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    function_id: Uuid,
    owner_id: Uuid,
    version: i32,
    trigger: String,
    status: String,
    queued_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    queue_ms: Option<f64>,
    cold_start_ms: Option<f64>,
    duration_ms: Option<f64>,
    peak_memory_bytes: Option<i64>,
    cpu_ms: Option<f64>,
    status_code: Option<i32>,
    result: Option<Value>,
    result_truncated: bool,
    error: Option<Value>,
    attempt: i32,
    dead_letter: bool,
    replayed_from: Option<Uuid>,
    signing_key_id: Option<Uuid>,
    signature: Option<String>,
}

/// Finds an execution of an owner's.
pub(crate) fn find(
    connection: &mut PgConnection,
    owner: UserId,
    id: ExecutionId,
) -> Result<Option<Execution>, DbError> {
    let row = executions::table
        .find(id.as_uuid())
        .filter(executions::owner_id.eq(owner.as_uuid()))
        .select(Row::as_select())
        .first(connection)
        .optional()?;
    row.map(Execution::try_from).transpose()
}

/// Lists the executions of an owner's function that began before the run `before`, newest first.
pub(crate) fn list(
    connection: &mut PgConnection,
    owner: UserId,
    filter: ExecutionFilter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Execution>, DbError> {
    let mut query = executions::table
        .filter(executions::owner_id.eq(owner.as_uuid()))
        .filter(executions::function_id.eq(filter.function_id.as_uuid()))
        .filter(executions::id.lt(before.unwrap_or(Uuid::max())))
        .order(executions::id.desc())
        .limit(limit)
        .select(Row::as_select())
        .into_boxed();
    if let Some(status) = filter.status {
        query = query.filter(executions::status.eq(to_text(&status)?));
    }
    if let Some(trigger) = filter.trigger {
        query = query.filter(executions::trigger.eq(to_text(&trigger)?));
    }
    if let Some(dead_letter) = filter.dead_letter {
        query = query.filter(executions::dead_letter.eq(dead_letter));
    }
    let rows: Vec<Row> = query.load(connection)?;
    rows.into_iter().map(Execution::try_from).collect()
}

/// Columns as arrays: a statement that names each value by itself costs PostgreSQL twice the time.
const UPSERT: &str = "\
    INSERT INTO executions (id, function_id, owner_id, version, trigger, status, queued_at, started_at, finished_at, \
    queue_ms, cold_start_ms, duration_ms, peak_memory_bytes, cpu_ms, status_code, result, result_truncated, error, \
    attempt, dead_letter, replayed_from, signing_key_id, signature) \
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
    $21, $22, $23) \
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, status = excluded.status, \
    started_at = excluded.started_at, finished_at = excluded.finished_at, queue_ms = excluded.queue_ms, \
    cold_start_ms = excluded.cold_start_ms, duration_ms = excluded.duration_ms, \
    peak_memory_bytes = excluded.peak_memory_bytes, cpu_ms = excluded.cpu_ms, status_code = excluded.status_code, \
    result = excluded.result, result_truncated = excluded.result_truncated, error = excluded.error, \
    attempt = excluded.attempt \
    WHERE executions.finished_at IS NULL RETURNING executions.id";

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = sql_types::Uuid)]
    id: Uuid,
}

/// Writes executions, new or known; returns those that it wrote. One that has ended is final: a later write changes
/// nothing of it.
pub(crate) fn upsert(
    connection: &mut PgConnection,
    batch: impl IntoIterator<Item = Execution>,
) -> Result<HashSet<ExecutionId>, DbError> {
    let mut rows = batch.into_iter().map(Row::try_from).collect::<Result<Vec<_>, _>>()?;
    macro_rules! column {
        ($name:ident) => {
            rows.iter_mut().map(|row| std::mem::take(&mut row.$name)).collect::<Vec<_>>()
        };
    }
    let written: Vec<Written> = diesel::sql_query(UPSERT)
        .bind::<Array<sql_types::Uuid>, _>(column!(id))
        .bind::<Array<sql_types::Uuid>, _>(column!(function_id))
        .bind::<Array<sql_types::Uuid>, _>(column!(owner_id))
        .bind::<Array<sql_types::Integer>, _>(column!(version))
        .bind::<Array<sql_types::Text>, _>(column!(trigger))
        .bind::<Array<sql_types::Text>, _>(column!(status))
        .bind::<Array<sql_types::Timestamptz>, _>(column!(queued_at))
        .bind::<Array<sql_types::Nullable<sql_types::Timestamptz>>, _>(column!(started_at))
        .bind::<Array<sql_types::Nullable<sql_types::Timestamptz>>, _>(column!(finished_at))
        .bind::<Array<sql_types::Nullable<sql_types::Double>>, _>(column!(queue_ms))
        .bind::<Array<sql_types::Nullable<sql_types::Double>>, _>(column!(cold_start_ms))
        .bind::<Array<sql_types::Nullable<sql_types::Double>>, _>(column!(duration_ms))
        .bind::<Array<sql_types::Nullable<sql_types::BigInt>>, _>(column!(peak_memory_bytes))
        .bind::<Array<sql_types::Nullable<sql_types::Double>>, _>(column!(cpu_ms))
        .bind::<Array<sql_types::Nullable<sql_types::Integer>>, _>(column!(status_code))
        .bind::<Array<sql_types::Nullable<sql_types::Json>>, _>(column!(result))
        .bind::<Array<sql_types::Bool>, _>(column!(result_truncated))
        .bind::<Array<sql_types::Nullable<sql_types::Json>>, _>(column!(error))
        .bind::<Array<sql_types::Integer>, _>(column!(attempt))
        .bind::<Array<sql_types::Bool>, _>(column!(dead_letter))
        .bind::<Array<sql_types::Nullable<sql_types::Uuid>>, _>(column!(replayed_from))
        .bind::<Array<sql_types::Nullable<sql_types::Uuid>>, _>(column!(signing_key_id))
        .bind::<Array<sql_types::Nullable<sql_types::Text>>, _>(column!(signature))
        .load(connection)?;
    Ok(written.into_iter().map(|row| ExecutionId::from(row.id)).collect())
}

/// Returns those of some executions that have ended.
pub(crate) fn ended(
    connection: &mut PgConnection,
    ids: impl IntoIterator<Item = ExecutionId>,
) -> Result<HashSet<ExecutionId>, DbError> {
    let ids: Vec<Uuid> = ids.into_iter().map(|id| id.as_uuid()).collect();
    let ended = executions::table
        .filter(executions::id.eq_any(ids))
        .filter(executions::finished_at.is_not_null())
        .select(executions::id)
        .load::<Uuid>(connection)?;
    Ok(ended.into_iter().map(ExecutionId::from).collect())
}

/// Writes how an execution stands that has not ended in the database; one that has, or is gone, stays as it is. Tells
/// whether it was written.
pub(crate) fn update_open(connection: &mut PgConnection, execution: &Execution) -> Result<bool, DbError> {
    let row = Row::try_from(execution.clone())?;
    let open = executions::table.find(row.id).filter(executions::finished_at.is_null());
    Ok(diesel::update(open).set(row).execute(connection)? == 1)
}

/// Keeps functions from being deleted until the transaction ends; returns those that are there.
pub(crate) fn share_functions(
    connection: &mut PgConnection,
    ids: impl IntoIterator<Item = FunctionId>,
) -> Result<HashSet<FunctionId>, DbError> {
    let ids: Vec<Uuid> = ids.into_iter().map(|id| id.as_uuid()).collect();
    let there = functions::table.filter(functions::id.eq_any(ids)).select(functions::id).for_key_share();
    Ok(there.load::<Uuid>(connection)?.into_iter().map(FunctionId::from).collect())
}

/// Returns those of some executions that were there and were swept since.
pub(crate) fn swept(
    connection: &mut PgConnection,
    asked: impl IntoIterator<Item = (FunctionId, ExecutionId)>,
) -> Result<HashSet<ExecutionId>, DbError> {
    let asked: HashSet<(Uuid, Uuid)> =
        asked.into_iter().map(|(function_id, id)| (function_id.as_uuid(), id.as_uuid())).collect();
    let functions: HashSet<Uuid> = asked.iter().map(|(function_id, _)| *function_id).collect();
    let swept_to: HashMap<Uuid, Uuid> = sweeps::table
        .filter(sweeps::function_id.eq_any(functions))
        .select((sweeps::function_id, sweeps::executions_to))
        .load::<(Uuid, Uuid)>(connection)?
        .into_iter()
        .collect();
    let is_old = |(function_id, id): &(Uuid, Uuid)| swept_to.get(function_id).is_some_and(|to| id <= to);
    let mut old: HashSet<Uuid> = asked.into_iter().filter(is_old).map(|(_, id)| id).collect();
    if !old.is_empty() {
        let ids: Vec<Uuid> = old.iter().copied().collect();
        let there = executions::table.filter(executions::id.eq_any(ids)).select(executions::id);
        for id in there.load::<Uuid>(connection)? {
            old.remove(&id);
        }
    }
    Ok(old.into_iter().map(ExecutionId::from).collect())
}

/// Deletes some of an owner's function's executions that have ended and are older than `oldest`, or beyond the newest
/// `count`; returns how many, 0 when none is left. Those that were signed stay until they are older than
/// `oldest_signed`. It remembers how far it has come, for [`swept`].
pub(crate) fn sweep(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
    oldest: Uuid,
    oldest_signed: Uuid,
    count: u32,
    limit: i64,
) -> Result<usize, DbError> {
    use executions::dsl;
    if share_functions(connection, [function_id])?.is_empty() {
        return Ok(0);
    }
    let own = || {
        dsl::executions
            .filter(dsl::owner_id.eq(owner.as_uuid()))
            .filter(dsl::function_id.eq(function_id.as_uuid()))
    };
    let beyond = own()
        .select(dsl::id)
        .order(dsl::id.desc())
        .offset(count.into())
        .first::<Uuid>(connection)
        .optional()?;
    let some = own()
        .filter(dsl::id.le(oldest.max(beyond.unwrap_or(Uuid::nil()))))
        .filter(dsl::finished_at.is_not_null())
        .filter(dsl::signature.is_null().or(dsl::id.le(oldest_signed)))
        .order(dsl::id)
        .limit(limit)
        .select(dsl::id)
        .load::<Uuid>(connection)?;
    let Some(last) = some.last() else { return Ok(0) };
    diesel::insert_into(sweeps::table)
        .values((sweeps::function_id.eq(function_id.as_uuid()), sweeps::executions_to.eq(last)))
        .on_conflict(sweeps::function_id)
        .do_update()
        .set(sweeps::executions_to.eq(greatest(sweeps::executions_to, excluded(sweeps::executions_to))))
        .execute(connection)?;
    Ok(diesel::delete(dsl::executions.filter(dsl::id.eq_any(some))).execute(connection)?)
}

/// Deletes some of an owner's function's executions; returns how many, 0 when none is left.
pub(crate) fn delete_of_function(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
    limit: i64,
) -> Result<usize, DbError> {
    let some = executions::table
        .filter(executions::owner_id.eq(owner.as_uuid()))
        .filter(executions::function_id.eq(function_id.as_uuid()))
        .limit(limit)
        .select(executions::id)
        .load::<Uuid>(connection)?;
    Ok(diesel::delete(executions::table.filter(executions::id.eq_any(some))).execute(connection)?)
}

/// Lists the signatures that set off the runs of an owner's function that came in at `since` or later.
pub(crate) fn list_signatures(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
    since: DateTime<Utc>,
) -> Result<Vec<SignatureMark>, DbError> {
    let marks: Vec<Option<String>> = executions::table
        .filter(executions::owner_id.eq(owner.as_uuid()))
        .filter(executions::function_id.eq(function_id.as_uuid()))
        .filter(executions::queued_at.ge(since))
        .filter(executions::signature.is_not_null())
        .select(executions::signature)
        .load(connection)?;
    marks.into_iter().flatten().map(from_text).collect()
}

fn signed_by((key_id, signature): (Uuid, String)) -> Result<SignedBy, DbError> {
    Ok(SignedBy { key_id: key_id.into(), signature: from_text(signature)? })
}

impl TryFrom<Execution> for Row {
    type Error = DbError;

    fn try_from(execution: Execution) -> Result<Self, DbError> {
        Ok(Self {
            id: execution.id.as_uuid(),
            function_id: execution.function_id.as_uuid(),
            owner_id: execution.owner.as_uuid(),
            version: execution.version,
            trigger: to_text(&execution.trigger)?,
            status: to_text(&execution.status)?,
            queued_at: execution.queued_at,
            started_at: execution.started_at,
            finished_at: execution.finished_at,
            queue_ms: execution.queue_ms,
            cold_start_ms: execution.cold_start_ms,
            duration_ms: execution.duration_ms,
            peak_memory_bytes: execution.peak_memory_bytes,
            cpu_ms: execution.cpu_ms,
            status_code: execution.status_code.map(i32::from),
            result: execution.result,
            result_truncated: execution.result_truncated,
            error: execution.error.as_ref().map(to_json).transpose()?,
            attempt: execution.attempt,
            dead_letter: execution.dead_letter,
            replayed_from: execution.replayed_from.map(|id| id.as_uuid()),
            signing_key_id: execution.signed_by.map(|signed| signed.key_id.as_uuid()),
            signature: execution.signed_by.map(|signed| signed.signature.to_string()),
        })
    }
}

impl TryFrom<Row> for Execution {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            id: ExecutionId::from(row.id),
            function_id: FunctionId::from(row.function_id),
            owner: UserId::from(row.owner_id),
            version: row.version,
            trigger: from_text(row.trigger)?,
            status: from_text(row.status)?,
            queued_at: row.queued_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            queue_ms: row.queue_ms,
            cold_start_ms: row.cold_start_ms,
            duration_ms: row.duration_ms,
            peak_memory_bytes: row.peak_memory_bytes,
            cpu_ms: row.cpu_ms,
            status_code: row.status_code.and_then(|code| u16::try_from(code).ok()),
            result: row.result,
            result_truncated: row.result_truncated,
            error: row.error.map(from_json).transpose()?,
            attempt: row.attempt,
            dead_letter: row.dead_letter,
            replayed_from: row.replayed_from.map(ExecutionId::from),
            signed_by: row.signing_key_id.zip(row.signature).map(signed_by).transpose()?,
        })
    }
}
