//! What the tests of several use cases start from.

use slipway_db::PgConnection;
use slipway_kernel::{Clock as _, UserId};
use slipway_models::auth::{UserStatus, UserType};
use slipway_testkit::fixed_clock;

use crate::domain::{Handle, NewUser};
use crate::store;

/// Makes an account that nobody can sign in to.
pub(crate) fn insert_user(connection: &mut PgConnection) -> UserId {
    insert_user_named(connection, "ada")
}

/// Makes an account of that handle that nobody can sign in to.
pub(crate) fn insert_user_named(connection: &mut PgConnection, name: &str) -> UserId {
    let user = NewUser {
        id: UserId::generate(),
        handle: Handle::from_name(name, 0),
        email: format!("{name}@example.org").parse().unwrap(),
        username: None,
        full_name: None,
        password_hash: String::new(),
        kdf: None,
        user_type: UserType::Regular,
        status: UserStatus::Active,
        created_at: fixed_clock().now(),
    };
    store::users::insert(connection, &user).unwrap().id
}
