//! The apps that groups state, and how lists of apps are read.

use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::UserId;
use slipway_models::groups::App;

use crate::schema::{group_members, groups};

/// Lists what those groups of a person state that state any apps.
pub(crate) fn list_of_groups(connection: &mut PgConnection, user: UserId) -> Result<Vec<Vec<App>>, DbError> {
    let lists: Vec<Option<Vec<String>>> = group_members::table
        .inner_join(groups::table)
        .filter(group_members::user_id.eq(user.as_uuid()))
        .filter(groups::apps.is_not_null())
        .select(groups::apps)
        .load(connection)?;
    Ok(lists.iter().flatten().map(|names| from_names(names)).collect())
}

/// Reads apps. The tables' checks admit no other names; one that came all the same grants nothing.
pub(super) fn from_names(names: &[String]) -> Vec<App> {
    names.iter().filter_map(|name| App::from_name(name)).collect()
}
