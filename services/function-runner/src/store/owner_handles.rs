//! Queries on the handles of owners.

use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::UserId;
use uuid::Uuid;

use crate::schema::owner_handles;

/// Notes an owner's handle, unless it is known.
pub(crate) fn insert(connection: &mut PgConnection, owner: UserId, handle: &str) -> Result<(), DbError> {
    diesel::insert_into(owner_handles::table)
        .values((owner_handles::owner_id.eq(owner.as_uuid()), owner_handles::handle.eq(handle)))
        .on_conflict(owner_handles::owner_id)
        .do_nothing()
        .execute(connection)?;
    Ok(())
}

/// Finds who goes by a handle.
pub(crate) fn find_owner(connection: &mut PgConnection, handle: &str) -> Result<Option<UserId>, DbError> {
    let owner: Option<Uuid> = owner_handles::table
        .filter(owner_handles::handle.eq(handle))
        .select(owner_handles::owner_id)
        .first(connection)
        .optional()?;
    Ok(owner.map(UserId::from))
}
