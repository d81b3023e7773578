//! Which apps are stated for whom.

use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::UserId;
use slipway_models::groups::App;

use crate::domain::{StatedApps, effective_apps};
use crate::schema::{group_members, groups, users};

/// Finds what is stated for a person alone; `None` where there is no account.
pub(crate) fn find_stated(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Option<StatedApps>, DbError> {
    let row: Option<Option<Vec<String>>> =
        users::table.find(user.as_uuid()).select(users::apps).first(connection).optional()?;
    Ok(row.map(|stated| stated.as_deref().map(from_names)))
}

/// Lists the apps that a person may use: of the two statements the later one may see a change that the earlier did not.
///
/// For a token, read the account's generation first, in a statement of its own (ADR 17): a change that is seen here and
/// not there makes a token of the old generation, which is refused; the other way round it would be good. After a lock of
/// the account that waited for a change, only a later statement sees what else that change wrote.
pub(crate) fn list_effective(connection: &mut PgConnection, user: UserId) -> Result<Vec<App>, DbError> {
    let own = find_stated(connection, user)?.flatten();
    let of_groups: Vec<Option<Vec<String>>> = group_members::table
        .inner_join(groups::table)
        .filter(group_members::user_id.eq(user.as_uuid()))
        .filter(groups::apps.is_not_null())
        .select(groups::apps)
        .load(connection)?;
    Ok(effective_apps(own, of_groups.iter().flatten().map(|apps| from_names(apps))))
}

pub(crate) fn update_stated(
    connection: &mut PgConnection,
    user: UserId,
    apps: &StatedApps,
) -> Result<(), DbError> {
    diesel::update(users::table.find(user.as_uuid()))
        .set(users::apps.eq(apps.as_deref().map(names)))
        .execute(connection)?;
    Ok(())
}

/// Writes apps as the database keeps them.
pub(super) fn names(apps: &[App]) -> Vec<&'static str> {
    apps.iter().map(|app| app.as_str()).collect()
}

/// Reads apps. The tables' checks admit no other names; one that came all the same grants nothing.
pub(super) fn from_names(names: &[String]) -> Vec<App> {
    names.iter().filter_map(|name| App::from_name(name)).collect()
}
