//! The only table of function-runner's URLs.

use actix_web::web::{ServiceConfig, delete, get, patch, post, put, to};
use slipway_models::functions::{BuildLogLine, BuildProgress};
use slipway_models::problem::ProblemBody;
use slipway_web::{BodyLimit, resource};
use utoipa::OpenApi;

use crate::handlers;

pub(crate) fn configure(app: &mut ServiceConfig) {
    app.service(resource("/api/v1/functions").route(get().to(handlers::functions)))
        .service(resource("/api/v1/functions/deploy").route(post().to(handlers::deploy)))
        .service(
            resource("/api/v1/functions/{id}")
                .route(get().to(handlers::function))
                .route(patch().to(handlers::configure))
                .route(delete().to(handlers::delete)),
        )
        .service(resource("/api/v1/functions/{id}/deployments").route(get().to(handlers::deployments)))
        .service(
            resource("/api/v1/functions/{id}/invoke")
                .app_data(BodyLimit(handlers::MAX_INVOKE_BYTES))
                .route(post().to(handlers::invoke)),
        )
        .service(resource("/api/v1/functions/{id}/rollback").route(post().to(handlers::roll_back)))
        .service(resource("/api/v1/functions/{id}/executions").route(get().to(handlers::executions)))
        .service(resource("/api/v1/functions/{id}/logs").route(get().to(handlers::logs)))
        .service(resource("/api/v1/functions/{id}/secrets").route(get().to(handlers::secrets)))
        .service(
            resource("/api/v1/functions/{id}/secrets/{key}")
                .route(put().to(handlers::set_secret))
                .route(delete().to(handlers::delete_secret)),
        )
        .service(
            resource("/api/v1/functions/{id}/keys")
                .route(get().to(handlers::keys))
                .route(post().to(handlers::create_key)),
        )
        .service(resource("/api/v1/functions/{id}/keys/{key}").route(delete().to(handlers::delete_key)))
        .service(resource("/api/v1/functions/{id}/stats").route(get().to(handlers::stats)))
        .service(
            resource("/f/{tail:.*}")
                .app_data(BodyLimit(handlers::MAX_INVOKE_BYTES))
                .default_service(to(handlers::trigger)),
        )
        .service(resource("/api/v1/executions/{id}").route(get().to(handlers::execution)))
        .service(resource("/api/v1/executions/{id}/cancel").route(post().to(handlers::cancel)))
        .service(resource("/api/v1/executions/{id}/replay").route(post().to(handlers::replay)))
        .service(resource("/api/v1/deployments/{id}").route(get().to(handlers::deployment)))
        .service(resource("/api/v1/deployments/{id}/logs").route(get().to(handlers::deployment_log)));
}

/// What the OpenAPI document says of functions.
#[derive(OpenApi)]
#[openapi(
    paths(
        handlers::functions,
        handlers::deploy,
        handlers::function,
        handlers::configure,
        handlers::delete,
        handlers::invoke,
        handlers::executions,
        handlers::execution,
        handlers::logs,
        handlers::secrets,
        handlers::set_secret,
        handlers::delete_secret,
        handlers::keys,
        handlers::create_key,
        handlers::delete_key,
        handlers::stats,
        handlers::deployments,
        handlers::roll_back,
        handlers::cancel,
        handlers::replay,
        handlers::deployment,
        handlers::deployment_log
    ),
    components(schemas(ProblemBody, BuildLogLine, BuildProgress)),
    tags((name = "functions", description = "Functions, their deployments and their runs"))
)]
pub(crate) struct Documentation;
