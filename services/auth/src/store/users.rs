use chrono::{DateTime, Utc};
use diesel::prelude::*;
use slipway_db::DbError;
use slipway_kernel::UserId;
use slipway_models::auth::{UserStatus, UserType};
use uuid::Uuid;

use super::apps::from_names;
use crate::domain::{ClientKdf, Email, Login, NewUser, StatedApps, User, Username, app_names};
use crate::schema::{handles, users};

/// An account with what is compared at a sign-in.
pub(crate) struct Credentials {
    pub(crate) user: User,
    pub(crate) password_hash: String,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
pub(super) struct Row {
    pub(super) id: Uuid,
    handle: String,
    email: String,
    username: Option<String>,
    password_hash: String,
    user_type: String,
    status: String,
    email_verified: bool,
    created_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
    token_generation: i64,
    apps: Option<Vec<String>>,
}

impl From<Row> for Credentials {
    fn from(row: Row) -> Self {
        let user = User {
            id: row.id.into(),
            handle: row.handle,
            email: row.email,
            username: row.username,
            // The table's checks admit no other names; one that came all the same gets the least.
            user_type: UserType::from_name(&row.user_type).unwrap_or(UserType::Regular),
            status: UserStatus::from_name(&row.status).unwrap_or(UserStatus::Disabled),
            email_verified: row.email_verified,
            created_at: row.created_at,
            last_login_at: row.last_login_at,
            token_generation: row.token_generation,
            apps: row.apps.as_deref().map(from_names),
        };
        Self { user, password_hash: row.password_hash }
    }
}

/// The names of the constraints that two accounts can meet in.
pub(crate) const EMAIL_KEY: &str = "users_email_key";
pub(crate) const HANDLE_KEYS: [&str; 2] = ["handles_pkey", "users_handle_key"];
pub(crate) const USERNAME_KEY: &str = "users_username_key";

/// Inserts an account. Its handle goes first, to where handles stay: one that a deleted account had is taken too.
pub(crate) fn insert(connection: &mut PgConnection, user: &NewUser) -> Result<User, DbError> {
    diesel::insert_into(handles::table)
        .values(handles::handle.eq(user.handle.as_str()))
        .execute(connection)?;
    let row: Row = diesel::insert_into(users::table)
        .values((
            users::id.eq(user.id.as_uuid()),
            users::handle.eq(user.handle.as_str()),
            users::email.eq(user.email.as_str()),
            users::username.eq(user.username.as_ref().map(Username::as_str)),
            users::full_name.eq(&user.full_name),
            users::password_hash.eq(&user.password_hash),
            kdf_columns(user.kdf),
            users::user_type.eq(user.user_type.as_str()),
            users::status.eq(user.status.as_str()),
            users::email_verified.eq(false),
            users::created_at.eq(user.created_at),
        ))
        .returning(Row::as_returning())
        .get_result(connection)?;
    Ok(Credentials::from(row).user)
}

pub(crate) fn find(connection: &mut PgConnection, id: UserId) -> Result<Option<User>, DbError> {
    let row = users::table.find(id.as_uuid()).select(Row::as_select()).first(connection).optional()?;
    Ok(row.map(|row| Credentials::from(row).user))
}

pub(crate) fn find_credentials(
    connection: &mut PgConnection,
    login: &Login,
) -> Result<Option<Credentials>, DbError> {
    let query = users::table.select(Row::as_select()).into_boxed();
    let query = match login {
        Login::Email(email) => query.filter(users::email.eq(email.as_str())),
        Login::Username(username) => query.filter(users::username.eq(username.as_str())),
    };
    Ok(query.first(connection).optional()?.map(Credentials::from))
}

/// Finds an account and keeps others from deleting it until the transaction ends; all else they may change.
pub(crate) fn hold(connection: &mut PgConnection, id: UserId) -> Result<Option<User>, DbError> {
    let query = users::table.find(id.as_uuid()).select(Row::as_select()).for_key_share();
    Ok(query.first(connection).optional()?.map(|row| Credentials::from(row).user))
}

/// Deletes an account with all that is its own; what it was called stays taken.
pub(crate) fn delete(connection: &mut PgConnection, id: UserId) -> Result<(), DbError> {
    // It may have been made by a program that did not keep handles yet.
    let handle = users::table.find(id.as_uuid()).select(users::handle);
    diesel::insert_into(handles::table)
        .values(handle)
        .into_columns(handles::handle)
        .on_conflict_do_nothing()
        .execute(connection)?;
    // A session that was refreshed for a month has tens of thousands of tokens.
    diesel::sql_query("SET LOCAL statement_timeout = '60s'").execute(connection)?;
    diesel::delete(users::table.find(id.as_uuid())).execute(connection)?;
    Ok(())
}

/// Finds an account by its id and keeps others from changing it until the transaction ends.
pub(crate) fn lock_credentials(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<Credentials>, DbError> {
    let query = users::table.find(id.as_uuid()).select(Row::as_select()).for_no_key_update();
    Ok(query.first(connection).optional()?.map(Credentials::from))
}

/// Finds an account by its id, with what is compared.
pub(crate) fn find_credentials_by_id(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<Credentials>, DbError> {
    let row = users::table.find(id.as_uuid()).select(Row::as_select()).first(connection).optional()?;
    Ok(row.map(Credentials::from))
}

/// Finds how the client of a blind account derives.
pub(crate) fn find_kdf(connection: &mut PgConnection, email: &Email) -> Result<Option<ClientKdf>, DbError> {
    let row: Option<(Option<i32>, Option<Vec<u8>>)> = users::table
        .filter(users::email.eq(email.as_str()))
        .select((users::kdf_iterations, users::kdf_salt))
        .first(connection)
        .optional()?;
    let kdf = row.and_then(|(iterations, salt)| {
        let (iterations, salt) = (iterations?.try_into().ok()?, salt?.try_into().ok()?);
        Some(ClientKdf { iterations, salt })
    });
    Ok(kdf)
}

/// Finds the account of an address.
pub(crate) fn find_by_email(connection: &mut PgConnection, email: &str) -> Result<Option<User>, DbError> {
    let query = users::table.filter(users::email.eq(email)).select(Row::as_select());
    Ok(query.first(connection).optional()?.map(|row| Credentials::from(row).user))
}

/// Tells whether there is an account of this user name.
pub(crate) fn username_exists(connection: &mut PgConnection, username: &str) -> Result<bool, DbError> {
    let named = users::table.filter(users::username.eq(username));
    Ok(diesel::select(diesel::dsl::exists(named)).get_result(connection)?)
}

/// Tells whether there is an account that runs the platform.
pub(crate) fn admin_exists(connection: &mut PgConnection) -> Result<bool, DbError> {
    let admins = users::table.filter(users::user_type.eq(UserType::Admin.as_str()));
    Ok(diesel::select(diesel::dsl::exists(admins)).get_result(connection)?)
}

pub(crate) fn update_last_login(
    connection: &mut PgConnection,
    id: UserId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(users::table.find(id.as_uuid())).set(users::last_login_at.eq(now)).execute(connection)?;
    Ok(())
}

pub(crate) fn update_password_hash(
    connection: &mut PgConnection,
    id: UserId,
    hash: &str,
) -> Result<(), DbError> {
    diesel::update(users::table.find(id.as_uuid())).set(users::password_hash.eq(hash)).execute(connection)?;
    Ok(())
}

/// Puts a new password in the place of the one before, or another kind of account's proof.
pub(crate) fn update_password(
    connection: &mut PgConnection,
    id: UserId,
    hash: &str,
    kdf: Option<ClientKdf>,
) -> Result<(), DbError> {
    diesel::update(users::table.find(id.as_uuid()))
        .set((users::password_hash.eq(hash), kdf_columns(kdf)))
        .execute(connection)?;
    Ok(())
}

/// A person's name, which not everyone has given.
pub(crate) struct FullName(pub(crate) Option<String>);

/// Finds a person's name.
pub(crate) fn find_full_name(connection: &mut PgConnection, id: UserId) -> Result<Option<FullName>, DbError> {
    let name = users::table.find(id.as_uuid()).select(users::full_name).first(connection).optional()?;
    Ok(name.map(FullName))
}

/// Changes a person's name, or takes it away; returns whether there is an account.
pub(crate) fn update_full_name(
    connection: &mut PgConnection,
    id: UserId,
    name: Option<&str>,
) -> Result<bool, DbError> {
    let changed = diesel::update(users::table.find(id.as_uuid())).set(users::full_name.eq(name));
    Ok(changed.execute(connection)? > 0)
}

pub(crate) fn update_username(
    connection: &mut PgConnection,
    id: UserId,
    username: &Username,
) -> Result<(), DbError> {
    diesel::update(users::table.find(id.as_uuid()))
        .set(users::username.eq(username.as_str()))
        .execute(connection)?;
    Ok(())
}

/// Takes the address of an account for its holder's.
pub(crate) fn update_email_verified(connection: &mut PgConnection, id: UserId) -> Result<(), DbError> {
    diesel::update(users::table.find(id.as_uuid()))
        .set(users::email_verified.eq(true))
        .execute(connection)?;
    Ok(())
}

/// States which apps somebody may use, or that nothing is stated.
pub(crate) fn update_apps(
    connection: &mut PgConnection,
    id: UserId,
    apps: &StatedApps,
) -> Result<(), DbError> {
    diesel::update(users::table.find(id.as_uuid()))
        .set(users::apps.eq(app_names(apps)))
        .execute(connection)?;
    Ok(())
}

type KdfColumns =
    (diesel::dsl::Eq<users::kdf_iterations, Option<i32>>, diesel::dsl::Eq<users::kdf_salt, Option<Vec<u8>>>);

fn kdf_columns(kdf: Option<ClientKdf>) -> KdfColumns {
    let iterations = kdf.and_then(|kdf| i32::try_from(kdf.iterations).ok());
    (users::kdf_iterations.eq(iterations), users::kdf_salt.eq(kdf.map(|kdf| kdf.salt.to_vec())))
}

/// Raises the generations of several accounts' access tokens; returns the new ones.
pub(crate) fn update_token_generations(
    connection: &mut PgConnection,
    ids: &[UserId],
) -> Result<Vec<(UserId, i64)>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(UserId::as_uuid).collect();
    let raised: Vec<(Uuid, i64)> = diesel::update(users::table.filter(users::id.eq_any(ids)))
        .set(users::token_generation.eq(users::token_generation + 1))
        .returning((users::id, users::token_generation))
        .get_results(connection)?;
    Ok(raised.into_iter().map(|(id, generation)| (id.into(), generation)).collect())
}

/// Raises the generation of an account's access tokens; returns the new one, or `None` where there is no account.
pub(crate) fn update_token_generation(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<i64>, DbError> {
    Ok(diesel::update(users::table.find(id.as_uuid()))
        .set(users::token_generation.eq(users::token_generation + 1))
        .returning(users::token_generation)
        .get_result(connection)
        .optional()?)
}
