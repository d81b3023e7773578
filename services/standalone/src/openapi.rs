use slipway_auth::Auth;
use slipway_function_runner::FunctionRunner;
use slipway_gateway::Gateway;
use slipway_web::Service as _;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Info, License, OpenApi};

const BEARER: &str = "bearer";

/// Describes the whole public API (OpenAPI 3.1).
pub fn openapi() -> OpenApi {
    let mut info = Info::new("Slipway", env!("CARGO_PKG_VERSION"));
    info.description = Some("The API of a Slipway platform, as its gateway offers it.".to_owned());
    info.license = Some(License::new("Apache-2.0"));
    let mut api = OpenApi::new(info, utoipa::openapi::Paths::new());
    for part in [Auth::openapi(), FunctionRunner::openapi(), Gateway::openapi()] {
        api.merge(part);
    }
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    api.components.get_or_insert_with(Components::new).add_security_scheme(BEARER, scheme);
    api.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
    api
}
