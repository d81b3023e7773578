//! Queries on owners whose accounts were deleted.

use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::{FunctionId, UserId};
use uuid::Uuid;

use crate::schema::{deleted_owners, functions};

/// Notes owners, those that are known too.
pub(crate) fn insert_all(
    connection: &mut PgConnection,
    owners: impl IntoIterator<Item = UserId>,
) -> Result<(), DbError> {
    let rows: Vec<_> = owners.into_iter().map(|owner| deleted_owners::owner_id.eq(owner.as_uuid())).collect();
    diesel::insert_into(deleted_owners::table).values(rows).on_conflict_do_nothing().execute(connection)?;
    Ok(())
}

/// Lists functions that are still there after the function `after`, each with its owner.
pub(crate) fn list_functions(
    connection: &mut PgConnection,
    after: Option<FunctionId>,
    limit: i64,
) -> Result<Vec<(UserId, FunctionId)>, DbError> {
    let rows = functions::table
        .inner_join(deleted_owners::table.on(deleted_owners::owner_id.eq(functions::owner_id)))
        .filter(functions::id.gt(after.map_or(Uuid::nil(), |id| id.as_uuid())))
        .order(functions::id)
        .limit(limit)
        .select((functions::owner_id, functions::id))
        .load::<(Uuid, Uuid)>(connection)?;
    Ok(rows.into_iter().map(|(owner, id)| (owner.into(), id.into())).collect())
}
