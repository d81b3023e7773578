//! Queries on rollups.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::upsert::excluded;
use serde_json::Value;
use slipway_db::DbError;
use slipway_kernel::{ExecutionId, FunctionId, UserId};
use uuid::Uuid;

use super::executions;
use super::stored::{from_json, to_json};
use crate::domain::stats::{Histogram, Rollup, RollupKey, Width, Window};
use crate::schema::rollups;

/// PostgreSQL takes 65,535 values in one statement.
const ROWS_PER_STATEMENT: usize = 5_000;
/// Held to the end of the transaction. The number is arbitrary.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7165061936)";

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = rollups, check_for_backend(diesel::pg::Pg))]
struct Row {
    function_id: Uuid,
    owner_id: Uuid,
    width_seconds: i32,
    start: DateTime<Utc>,
    calls: i64,
    errors: Value,
    cold_starts: i64,
    durations: Vec<i32>,
    queues: Vec<i32>,
    peak_memory_bytes: Option<i64>,
    peak_cpu_ms: Option<f64>,
}

/// Adds to rollups, new or known. The caller adds each run once: nothing here could tell.
pub(crate) fn add(
    connection: &mut PgConnection,
    mut rollups: BTreeMap<RollupKey, Rollup>,
) -> Result<(), DbError> {
    use rollups::dsl;
    if rollups.is_empty() {
        return Ok(());
    }
    // One at a time: two that both find no row would each write theirs over the other's.
    diesel::sql_query(LOCK).execute(connection)?;
    let functions: HashSet<Uuid> = rollups.keys().map(|key| key.function_id.as_uuid()).collect();
    let starts: HashSet<DateTime<Utc>> = rollups.keys().map(|key| key.start).collect();
    let known: Vec<Row> = dsl::rollups
        .filter(dsl::function_id.eq_any(functions))
        .filter(dsl::start.eq_any(starts))
        .order((dsl::function_id, dsl::width_seconds, dsl::start))
        .for_update()
        .select(Row::as_select())
        .load(connection)?;
    for row in known {
        if let Some(rollup) = key_of(&row).and_then(|key| rollups.get_mut(&key)) {
            let mut sum = Rollup::try_from(row)?;
            sum.merge(rollup);
            *rollup = sum;
        }
    }
    let rows = rollups.into_iter().map(Row::try_from).collect::<Result<Vec<_>, _>>()?;
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        diesel::insert_into(dsl::rollups)
            .values(chunk)
            .on_conflict((dsl::function_id, dsl::width_seconds, dsl::start))
            .do_update()
            .set((
                dsl::calls.eq(excluded(dsl::calls)),
                dsl::errors.eq(excluded(dsl::errors)),
                dsl::cold_starts.eq(excluded(dsl::cold_starts)),
                dsl::durations.eq(excluded(dsl::durations)),
                dsl::queues.eq(excluded(dsl::queues)),
                dsl::peak_memory_bytes.eq(excluded(dsl::peak_memory_bytes)),
                dsl::peak_cpu_ms.eq(excluded(dsl::peak_cpu_ms)),
            ))
            .execute(connection)?;
    }
    Ok(())
}

/// Lists the rollups of an owner's function within a window, by their beginnings; and, as of the same moment, those of
/// some of its executions that are counted in them.
#[expect(clippy::type_complexity, reason = "two answers of one moment")]
pub(crate) fn list(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
    window: Window,
    asked: Vec<ExecutionId>,
) -> Result<(Vec<(DateTime<Utc>, Rollup)>, HashSet<ExecutionId>), DbError> {
    let mut one_moment = connection.build_transaction().read_only().repeatable_read();
    one_moment.run(|connection| {
        let rows: Vec<Row> = rollups::table
            .filter(rollups::owner_id.eq(owner.as_uuid()))
            .filter(rollups::function_id.eq(function_id.as_uuid()))
            .filter(rollups::width_seconds.eq(window.width.seconds()))
            .filter(rollups::start.ge(window.start))
            .select(Row::as_select())
            .load(connection)?;
        let stored = rows.into_iter().map(|row| Ok((row.start, Rollup::try_from(row)?)));
        let stored = stored.collect::<Result<_, DbError>>()?;
        let mut counted = executions::ended(connection, asked.iter().copied())?;
        counted.extend(executions::swept(connection, asked.into_iter().map(|id| (function_id, id)))?);
        Ok((stored, counted))
    })
}

/// Deletes an owner's function's rollups of a width that begin before a time; returns how many.
pub(crate) fn sweep(
    connection: &mut PgConnection,
    owner: UserId,
    function_id: FunctionId,
    width: Width,
    before: DateTime<Utc>,
) -> Result<usize, DbError> {
    let old = rollups::table
        .filter(rollups::owner_id.eq(owner.as_uuid()))
        .filter(rollups::function_id.eq(function_id.as_uuid()))
        .filter(rollups::width_seconds.eq(width.seconds()))
        .filter(rollups::start.lt(before));
    Ok(diesel::delete(old).execute(connection)?)
}

fn key_of(row: &Row) -> Option<RollupKey> {
    Some(RollupKey {
        function_id: FunctionId::from(row.function_id),
        owner: UserId::from(row.owner_id),
        width: Width::ALL.into_iter().find(|width| width.seconds() == row.width_seconds)?,
        start: row.start,
    })
}

impl TryFrom<(RollupKey, Rollup)> for Row {
    type Error = DbError;

    fn try_from((key, rollup): (RollupKey, Rollup)) -> Result<Self, DbError> {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Ok(Self {
            function_id: key.function_id.as_uuid(),
            owner_id: key.owner.as_uuid(),
            width_seconds: key.width.seconds(),
            start: key.start,
            calls: count(rollup.calls),
            errors: to_json(&rollup.errors)?,
            cold_starts: count(rollup.cold_starts),
            durations: rollup.durations.to_pairs(),
            queues: rollup.queues.to_pairs(),
            peak_memory_bytes: rollup.peak_memory_bytes,
            peak_cpu_ms: rollup.peak_cpu_ms,
        })
    }
}

impl TryFrom<Row> for Rollup {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let count = |count: i64| u64::try_from(count).unwrap_or_default();
        Ok(Self {
            calls: count(row.calls),
            errors: from_json(row.errors)?,
            cold_starts: count(row.cold_starts),
            durations: Histogram::from_pairs(&row.durations),
            queues: Histogram::from_pairs(&row.queues),
            peak_memory_bytes: row.peak_memory_bytes,
            peak_cpu_ms: row.peak_cpu_ms,
        })
    }
}
