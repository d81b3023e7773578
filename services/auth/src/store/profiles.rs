use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::UserId;
use uuid::Uuid;

use crate::schema::profiles;

/// A profile as it is kept: without the name, which is the account's, and with the webhook sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = profiles, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
pub(crate) struct StoredProfile {
    pub(crate) phone: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) time_zone: Option<String>,
    pub(crate) discord_username: Option<String>,
    pub(crate) sealed_discord_webhook: Option<Vec<u8>>,
}

/// Finds a user's profile; one that was never written is empty.
pub(crate) fn find(connection: &mut PgConnection, user: UserId) -> Result<StoredProfile, DbError> {
    let found = profiles::table.find(user.as_uuid()).select(StoredProfile::as_select()).first(connection);
    Ok(found.optional()?.unwrap_or_default())
}

/// Inserts a user's profile, or puts it in the place of the one before.
pub(crate) fn insert(
    connection: &mut PgConnection,
    user: UserId,
    profile: &StoredProfile,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::insert_into(profiles::table)
        .values((profiles::user_id.eq(user.as_uuid()), profiles::updated_at.eq(now), profile))
        .on_conflict(profiles::user_id)
        .do_update()
        .set((profiles::updated_at.eq(now), profile))
        .execute(connection)?;
    Ok(())
}

/// Lists sealed webhooks of everyone, by user.
pub(crate) fn list_sealed(
    connection: &mut PgConnection,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<(UserId, Vec<u8>)>, DbError> {
    let rows: Vec<(Uuid, Option<Vec<u8>>)> = profiles::table
        .filter(profiles::user_id.gt(after.map_or(Uuid::nil(), |id| id.as_uuid())))
        .filter(profiles::sealed_discord_webhook.is_not_null())
        .order(profiles::user_id)
        .limit(limit)
        .select((profiles::user_id, profiles::sealed_discord_webhook))
        .load(connection)?;
    Ok(rows.into_iter().filter_map(|(id, sealed)| Some((id.into(), sealed?))).collect())
}

/// Puts another sealing of the same in its place, unless it has become another meanwhile.
pub(crate) fn update_sealed(
    connection: &mut PgConnection,
    user: UserId,
    old: &[u8],
    new: &[u8],
) -> Result<(), DbError> {
    diesel::update(profiles::table.find(user.as_uuid()).filter(profiles::sealed_discord_webhook.eq(old)))
        .set(profiles::sealed_discord_webhook.eq(new))
        .execute(connection)?;
    Ok(())
}
