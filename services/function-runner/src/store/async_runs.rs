//! Queries on the queue of runs that nobody waits for, and on what they were given.

use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, min};
use diesel::prelude::*;
use serde_json::Value;
use slipway_db::DbError;
use slipway_kernel::{ExecutionId, FunctionId, UserId};
use uuid::Uuid;

use super::executions;
use crate::domain::{AsyncRun, Due, Execution, Input};
use crate::schema::{async_runs, execution_inputs};

/// Queues a run, with its record and what it is given.
pub(crate) fn insert(
    connection: &mut PgConnection,
    run: &AsyncRun,
    due: DateTime<Utc>,
) -> Result<(), DbError> {
    let AsyncRun { execution, input } = run;
    executions::upsert(connection, [execution.clone()])?;
    diesel::insert_into(execution_inputs::table)
        .values((
            execution_inputs::execution_id.eq(execution.id.as_uuid()),
            execution_inputs::head.eq(&input.head),
            execution_inputs::body.eq(&input.body),
        ))
        .execute(connection)?;
    diesel::insert_into(async_runs::table)
        .values((
            async_runs::execution_id.eq(execution.id.as_uuid()),
            async_runs::function_id.eq(execution.function_id.as_uuid()),
            async_runs::owner_id.eq(execution.owner.as_uuid()),
            async_runs::due_at.eq(due),
            async_runs::is_taken.eq(false),
        ))
        .execute(connection)?;
    Ok(())
}

/// Finds what a run was given. Its record's query has named the owner.
pub(crate) fn find_input(connection: &mut PgConnection, id: ExecutionId) -> Result<Option<Input>, DbError> {
    let row = execution_inputs::table
        .find(id.as_uuid())
        .select((execution_inputs::head, execution_inputs::body))
        .first::<(Value, Vec<u8>)>(connection)
        .optional()?;
    Ok(row.map(|(head, body)| Input { head, body }))
}

/// Counts an owner's runs that are queued or under way.
pub(crate) fn count_of_owner(connection: &mut PgConnection, owner: UserId) -> Result<usize, DbError> {
    let count: i64 = async_runs::table
        .filter(async_runs::owner_id.eq(owner.as_uuid()))
        .select(count_star())
        .first(connection)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Lists everyone's functions that have runs due.
pub(crate) fn list_due(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<Due>, DbError> {
    let rows = async_runs::table
        .filter(async_runs::is_taken.eq(false).and(async_runs::due_at.le(now)))
        .group_by((async_runs::owner_id, async_runs::function_id))
        .select((async_runs::owner_id, async_runs::function_id, count_star(), min(async_runs::due_at)))
        .load::<(Uuid, Uuid, i64, Option<DateTime<Utc>>)>(connection)?;
    Ok(rows
        .into_iter()
        .map(|(owner, function_id, runs, since)| Due {
            owner: owner.into(),
            function_id: function_id.into(),
            runs: usize::try_from(runs).unwrap_or_default(),
            since: since.unwrap_or(now),
        })
        .collect())
}

/// Returns when the next run that is not due yet will be.
pub(crate) fn next_due(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, DbError> {
    Ok(async_runs::table
        .filter(async_runs::is_taken.eq(false).and(async_runs::due_at.gt(now)))
        .select(min(async_runs::due_at))
        .first(connection)?)
}

/// Takes the run of a function that has been due for longest. One that another transaction changes is passed over.
pub(crate) fn take(
    connection: &mut PgConnection,
    function_id: FunctionId,
    now: DateTime<Utc>,
) -> Result<Option<AsyncRun>, DbError> {
    let found = async_runs::table
        .filter(async_runs::function_id.eq(function_id.as_uuid()))
        .filter(async_runs::is_taken.eq(false).and(async_runs::due_at.le(now)))
        .order((async_runs::due_at.asc(), async_runs::execution_id.asc()))
        .select((async_runs::owner_id, async_runs::execution_id))
        .for_update()
        .skip_locked()
        .first::<(Uuid, Uuid)>(connection)
        .optional()?;
    let Some((owner, id)) = found else { return Ok(None) };
    diesel::update(async_runs::table.find(id)).set(async_runs::is_taken.eq(true)).execute(connection)?;
    let id = ExecutionId::from(id);
    let execution = executions::find(connection, owner.into(), id)?;
    let input = find_input(connection, id)?;
    Ok(execution.zip(input).map(|(execution, input)| AsyncRun { execution, input }))
}

/// Lists the runs that were taken: at a start, those of the process before.
pub(crate) fn list_taken(connection: &mut PgConnection) -> Result<Vec<Execution>, DbError> {
    let rows = async_runs::table
        .filter(async_runs::is_taken.eq(true))
        .select((async_runs::owner_id, async_runs::execution_id))
        .load::<(Uuid, Uuid)>(connection)?;
    let mut taken = Vec::new();
    for (owner, id) in rows {
        taken.extend(executions::find(connection, owner.into(), id.into())?);
    }
    Ok(taken)
}

/// Locks an owner's run that is queued and not taken; tells whether there is one.
pub(crate) fn lock_waiting(
    connection: &mut PgConnection,
    owner: UserId,
    id: ExecutionId,
) -> Result<bool, DbError> {
    let found = async_runs::table
        .find(id.as_uuid())
        .filter(async_runs::owner_id.eq(owner.as_uuid()).and(async_runs::is_taken.eq(false)))
        .select(async_runs::execution_id)
        .for_update()
        .first::<Uuid>(connection)
        .optional()?;
    Ok(found.is_some())
}

/// Writes how a run stands that waits again, until `due`.
pub(crate) fn put_back(
    connection: &mut PgConnection,
    execution: &Execution,
    due: DateTime<Utc>,
) -> Result<(), DbError> {
    executions::update_open(connection, execution)?;
    diesel::update(async_runs::table.find(execution.id.as_uuid()))
        .set((async_runs::is_taken.eq(false), async_runs::due_at.eq(due)))
        .execute(connection)?;
    Ok(())
}

/// Writes how a run ended, and takes it out of the queue. Tells whether it was there and open until now.
pub(crate) fn end(connection: &mut PgConnection, execution: &Execution) -> Result<bool, DbError> {
    let is_written = executions::update_open(connection, execution)?;
    diesel::delete(async_runs::table.find(execution.id.as_uuid())).execute(connection)?;
    Ok(is_written)
}
