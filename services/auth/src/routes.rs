//! The only table of auth's URLs.

use actix_web::web::{ServiceConfig, delete, get, patch, post, put};
use slipway_models::auth::CookieAnswer;
use slipway_models::problem::ProblemBody;
use slipway_web::resource;
use utoipa::OpenApi;

use crate::handlers;

pub(crate) fn configure(app: &mut ServiceConfig) {
    app.service(resource("/api/v1/auth/register").route(post().to(handlers::register)))
        .service(resource("/api/v1/auth/prelogin").route(get().to(handlers::prelogin)))
        .service(resource("/api/v1/auth/password").route(put().to(handlers::change_password)))
        .service(resource("/api/v1/auth/password/forgot").route(post().to(handlers::forgot_password)))
        .service(resource("/api/v1/auth/password/reset").route(post().to(handlers::reset_password)))
        .service(resource("/api/v1/auth/email/verify").route(post().to(handlers::verify_email)))
        .service(resource("/api/v1/auth/login").route(post().to(handlers::login)))
        .service(resource("/api/v1/auth/refresh").route(post().to(handlers::refresh)))
        .service(resource("/api/v1/auth/logout").route(post().to(handlers::logout)))
        .service(resource("/api/v1/auth/logout-all").route(post().to(handlers::logout_all)))
        .service(resource("/api/v1/auth/sessions").route(get().to(handlers::sessions)))
        .service(resource("/api/v1/auth/sessions/{id}").route(delete().to(handlers::end_session)))
        .service(resource("/api/v1/auth/jwks.json").route(get().to(handlers::jwks)))
        .service(resource("/.well-known/jwks.json").route(get().to(handlers::jwks)))
        .service(
            resource("/api/v1/users/me").route(get().to(handlers::me)).route(put().to(handlers::update_me)),
        )
        .service(resource("/api/v1/users/me/permissions").route(get().to(handlers::permissions)))
        .service(resource("/api/v1/users/lookup").route(get().to(handlers::lookup)))
        .service(resource("/api/v1/users").route(post().to(handlers::create_user)))
        .service(
            resource("/api/v1/users/{id}")
                .route(get().to(handlers::user))
                .route(delete().to(handlers::delete_user)),
        )
        .service(resource("/api/v1/admin/users").route(get().to(handlers::list_users)))
        .service(resource("/api/v1/admin/users/{id}").route(patch().to(handlers::change_user)))
        .service(resource("/api/v1/admin/users/{id}/approve").route(post().to(handlers::approve_user)))
        .service(resource("/api/v1/admin/users/{id}/reject").route(post().to(handlers::reject_user)))
        .service(
            resource("/api/v1/admin/users/{id}/reset-password").route(post().to(handlers::reset_password_of)),
        )
        .service(
            resource("/api/v1/admin/users/{id}/apps")
                .route(get().to(handlers::user_apps))
                .route(put().to(handlers::put_user_apps)),
        )
        .configure(configure_groups)
        .service(
            resource("/api/v1/profile")
                .route(get().to(handlers::profile))
                .route(put().to(handlers::update_profile)),
        )
        .service(
            resource("/api/v1/api-keys")
                .route(get().to(handlers::list_api_keys))
                .route(post().to(handlers::create_api_key)),
        )
        .service(resource("/api/v1/api-keys/{id}").route(delete().to(handlers::delete_api_key)))
        .service(resource("/api/v1/audit").route(get().to(handlers::audit)))
        .service(resource("/api/v1/audit/verify").route(get().to(handlers::verify_audit)))
        .service(resource("/internal/api-keys").route(post().to(handlers::find_api_key)))
        .service(resource("/internal/audit").route(post().to(handlers::take_audit)))
        .service(resource("/internal/deleted-users").route(get().to(handlers::deleted_users)))
        .service(resource("/internal/revocations").route(get().to(handlers::revocations)));
}

fn configure_groups(app: &mut ServiceConfig) {
    app.service(
        resource("/api/v1/groups").route(get().to(handlers::groups)).route(post().to(handlers::create_group)),
    )
    .service(
        resource("/api/v1/groups/{id}")
            .route(get().to(handlers::group))
            .route(patch().to(handlers::change_group))
            .route(delete().to(handlers::delete_group)),
    )
    .service(resource("/api/v1/groups/{id}/members").route(get().to(handlers::group_members)))
    .service(
        resource("/api/v1/groups/{id}/members/{user_id}")
            .route(put().to(handlers::put_group_member))
            .route(delete().to(handlers::remove_group_member)),
    )
    .service(
        resource("/api/v1/groups/{id}/apps")
            .route(get().to(handlers::group_apps))
            .route(put().to(handlers::put_group_apps)),
    );
}

/// What the OpenAPI document says of auth.
#[derive(OpenApi)]
#[openapi(
    paths(
        handlers::register,
        handlers::prelogin,
        handlers::change_password,
        handlers::forgot_password,
        handlers::reset_password,
        handlers::verify_email,
        handlers::login,
        handlers::refresh,
        handlers::logout,
        handlers::logout_all,
        handlers::sessions,
        handlers::end_session,
        handlers::jwks,
        handlers::me,
        handlers::update_me,
        handlers::profile,
        handlers::update_profile,
        handlers::permissions,
        handlers::lookup,
        handlers::create_user,
        handlers::user,
        handlers::delete_user,
        handlers::list_users,
        handlers::change_user,
        handlers::approve_user,
        handlers::reject_user,
        handlers::reset_password_of,
        handlers::user_apps,
        handlers::put_user_apps,
        handlers::groups,
        handlers::create_group,
        handlers::group,
        handlers::change_group,
        handlers::delete_group,
        handlers::group_members,
        handlers::put_group_member,
        handlers::remove_group_member,
        handlers::group_apps,
        handlers::put_group_apps,
        handlers::create_api_key,
        handlers::list_api_keys,
        handlers::delete_api_key,
        handlers::audit,
        handlers::verify_audit
    ),
    components(schemas(CookieAnswer, ProblemBody)),
    tags(
        (name = "auth", description = "Accounts, sessions and tokens"),
        (name = "groups", description = "Groups of people, and the apps that they are granted"),
        (name = "people", description = "Accounts of others, and what people may do"),
        (name = "audit", description = "What happened on the platform, and whether the log of it is whole")
    )
)]
pub(crate) struct Documentation;
