use actix_web::web::{self, Data, Query};
use serde::Deserialize;
use slipway_kernel::Page;
use slipway_models::auth::{UserBody, UserStatus, UserType};
use slipway_models::problem::ProblemBody;
use slipway_web::{ManageUsers, Paging, Permitted, Problem};

use crate::domain::UserFilter;
use crate::service::People;

/// Which accounts are asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct UsersQuery {
    query: Option<String>,
    status: Option<UserStatus>,
    user_type: Option<UserType>,
}

/// Lists accounts, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users",
    tag = "people",
    params(
        ("query" = Option<String>, Query, description = "A part of the handle, address, user name or name"),
        ("status" = Option<UserStatus>, Query, description = "Only accounts that stand so"),
        ("user_type" = Option<UserType>, Query, description = "Only accounts of this type"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "`{items: [UserBody], next_cursor}`", body = [UserBody]),
        (status = 403, description = "The caller lacks the permission `manage_users`", body = ProblemBody),
    )
)]
#[tracing::instrument(skip_all)]
pub(crate) async fn list_users(
    people: Data<People>,
    _caller: Permitted<ManageUsers>,
    query: Query<UsersQuery>,
    Paging(page): Paging,
) -> Result<web::Json<Page<UserBody>>, Problem> {
    let UsersQuery { query, status, user_type } = query.into_inner();
    // No text in the database holds a zero byte.
    let query = query.map(|text| text.replace('\0', "\u{fffd}"));
    let users = people.list(UserFilter { query, status, user_type }, page).await?;
    Ok(web::Json(users.map(UserBody::from)))
}
