//! Accounts of others: found, listed, and changed by admins.

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use slipway_db::DbError;
use slipway_kernel::{PageRequest, UserId};
use slipway_models::auth::{UserStatus, UserType};
use slipway_models::people::PersonBody;
use uuid::Uuid;

use super::users::{Credentials, Row};
use crate::domain::{Prefix, Standing, User, UserFilter};
use crate::schema::users;

const LOOKED_UP: i64 = 20;

diesel::define_sql_function!(fn lower(text: Nullable<Text>) -> Nullable<Text>);

/// Lists the first active accounts whose handle or name begins so, by handle.
pub(crate) fn list_by_prefix(
    connection: &mut PgConnection,
    prefix: &Prefix,
) -> Result<Vec<PersonBody>, DbError> {
    let pattern = format!("{}%", literal(prefix.as_str()));
    let named = lower(users::full_name).like(pattern.clone());
    let rows: Vec<(Uuid, String, Option<String>)> = users::table
        .filter(users::status.eq(UserStatus::Active.as_str()))
        .filter(named.or(users::handle.like(pattern).nullable()))
        .order(users::handle)
        .limit(LOOKED_UP)
        .select((users::id, users::handle, users::full_name))
        .load(connection)?;
    let person = |(id, handle, full_name): (Uuid, _, _)| PersonBody { id: id.into(), handle, full_name };
    Ok(rows.into_iter().map(person).collect())
}

/// Lists accounts, the newest first.
pub(crate) fn list(
    connection: &mut PgConnection,
    filter: &UserFilter,
    page: &PageRequest,
) -> Result<Vec<User>, DbError> {
    let mut query = users::table.select(Row::as_select()).order(users::id.desc()).into_boxed();
    if let Some(after) = page.after() {
        query = query.filter(users::id.lt(after));
    }
    if let Some(status) = filter.status {
        query = query.filter(users::status.eq(status.as_str()));
    }
    if let Some(user_type) = filter.user_type {
        query = query.filter(users::user_type.eq(user_type.as_str()));
    }
    if let Some(text) = &filter.query {
        let pattern = format!("%{}%", literal(text));
        let found = users::handle.ilike(pattern.clone()).or(users::email.ilike(pattern.clone())).nullable();
        let named = users::username.ilike(pattern.clone()).or(users::full_name.ilike(pattern));
        query = query.filter(found.or(named));
    }
    let rows = query.limit(page.fetch_limit()).load::<Row>(connection)?;
    Ok(rows.into_iter().map(|row| Credentials::from(row).user).collect())
}

/// Held to the end of the transaction. The number is arbitrary.
const ADMINS: &str = "SELECT pg_advisory_xact_lock(4021570093)";

/// Lists the accounts that can run the platform, and keeps others from changing them until the transaction ends.
pub(crate) fn lock_admins(connection: &mut PgConnection) -> Result<Vec<UserId>, DbError> {
    // The rows alone would not do: one who becomes an admin meanwhile is locked by some before, by others after the rest.
    diesel::sql_query(ADMINS).execute(connection)?;
    let ids: Vec<Uuid> = users::table
        .filter(users::user_type.eq(UserType::Admin.as_str()))
        .filter(users::status.eq(UserStatus::Active.as_str()))
        .order(users::id)
        .select(users::id)
        .for_no_key_update()
        .load(connection)?;
    Ok(ids.into_iter().map(UserId::from).collect())
}

pub(crate) fn update_standing(
    connection: &mut PgConnection,
    id: UserId,
    standing: Standing,
) -> Result<(), DbError> {
    diesel::update(users::table.find(id.as_uuid()))
        .set((users::user_type.eq(standing.user_type.as_str()), users::status.eq(standing.status.as_str())))
        .execute(connection)?;
    Ok(())
}

/// Writes a text so that LIKE takes each of its characters for itself.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
