//! Accounts, as others see them and as admins change them.

use serde::{Deserialize, Serialize};
use slipway_kernel::UserId;
use utoipa::ToSchema;

use crate::auth::UserType;

/// A person, as everyone who is signed in may see them: to mention them, or to share with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonBody {
    /// The account's id.
    #[schema(value_type = String, format = Uuid)]
    pub id: UserId,
    /// The slug that names the account, for good.
    #[schema(example = "ada")]
    pub handle: String,
    /// The person's name.
    pub full_name: Option<String>,
}

/// The answer to `GET /users/lookup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeopleBody {
    /// The first 20 whose handle or name begins so, by handle.
    pub items: Vec<PersonBody>,
}

/// `POST /users`: an account that can be used at once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUserRequest {
    /// The address that the account is known by.
    #[schema(example = "ada@example.org")]
    pub email: String,
    /// The first password, by the rules of `POST /auth/register`. Without one, a letter says how to choose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// A second name to sign in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// What the person may do.
    #[serde(default = "regular")]
    pub user_type: UserType,
}

const fn regular() -> UserType {
    UserType::Regular
}

/// `PATCH /admin/users/{id}`: what is left out stays.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeUserRequest {
    /// What the person may do from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_type: Option<UserType>,
    /// False disables the account, true lets a disabled one in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}
