use std::sync::Arc;

use quick_cache::sync::Cache;
use slipway_config::Reader;
use slipway_jwt::{AccessVerifier, IdentitySigner, RevokedTokens, SecretKey, ServiceName};
use slipway_limits::{CounterNames, Limiter, Quota};
use slipway_models::auth::REVOCATIONS_CHANNEL;
use slipway_redis::Listener;
use slipway_web::{Application, BoxError, Context, Readiness, Service};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use crate::access::Guard;
use crate::api_keys::{ApiKeys, Asking};
use crate::auth_link::{AuthLink, AuthLinkParts};
use crate::config::{Config, LimitsConfig};
use crate::in_flight::InFlight;
use crate::limits::{LimitClass, Limits, MINUTE};
use crate::pages::Health;
use crate::proxy::Hosts;
use crate::routes::{self, Reload, RouteTable, Routes, Services};
use crate::rules::Rules;
use crate::series::Families;
use crate::server::Server;
use crate::upstream::Client;

/// Of more addresses than these that have used up what they may ask, some are looked at more closely than they need be.
const USED_UP_KEPT: usize = 10_000;

/// The only public service: it verifies who calls, and passes requests on.
pub struct Gateway;

impl Service for Gateway {
    const NAME: &'static str = "gateway";
    const ABOUT: &'static str = "the one public entrance: verifies who calls and passes requests on";
    type Config = Config;

    fn read(reader: &mut Reader<'_>) -> Config {
        Config::read(reader)
    }

    /// It has no database.
    fn migrate(_: &Config) -> Result<(), BoxError> {
        Ok(())
    }

    /// Listens at once, and is ready once it has heard from auth: the services start in any order.
    async fn build(config: Config, context: Context) -> Result<Application, BoxError> {
        let Context { clock, metrics, stop } = context;
        let name: ServiceName = Self::NAME.parse()?;
        let signer = Arc::new(IdentitySigner::load_or_create(&config.keys_dir, name, Arc::clone(&clock))?);
        let revoked = Arc::new(RevokedTokens::default());
        let verifier = AccessVerifier::new(Arc::clone(&revoked), Arc::clone(&clock), config.token_cache);
        let verifier = Arc::new(verifier);
        let families = Families::new(&metrics)?;
        let service = |name, addresses| Arc::new(routes::Service::new(name, addresses, &families));
        let services = Services {
            auth: service("auth".parse()?, config.auth.serving),
            functions: service("functions".parse()?, config.functions.serving),
        };
        let nudges = config
            .redis
            .as_ref()
            .map_or_else(Listener::deaf, |redis| Listener::start(redis, REVOCATIONS_CHANNEL, stop.clone()));
        let keys = Arc::new(ApiKeys::new(
            Asking { client: Client::new(), auth: Arc::clone(&services.auth), signer: Arc::clone(&signer) },
            Arc::clone(&revoked),
            Arc::clone(&clock),
            config.api_key_cache,
            &metrics,
        )?);
        let link = Arc::new(AuthLink::new(AuthLinkParts {
            auth: Arc::clone(&services.auth),
            signer: Arc::clone(&signer),
            verifier: Arc::clone(&verifier),
            revoked,
            clock,
            max_age: config.revocations_max_age,
            nudges,
        }));
        let routes = Arc::new(Routes::new(RouteTable::new(&services, &config.added_routes, &families)));
        if let Some(file) = config.routes_file {
            tokio::spawn(Reload::new(file, services, families, Arc::clone(&routes)).watch(stop.clone()));
        }
        if let Some(tls) = &config.tls {
            tokio::spawn(Arc::clone(tls).watch(stop.clone()));
        }
        tokio::spawn(Arc::clone(&link).listen(stop));

        let readiness = Readiness::default().with("revocations", {
            let link = Arc::clone(&link);
            move || std::future::ready(link.check().map_err(|stale| stale.to_string()))
        });
        let limits = match config.limits {
            None => None,
            Some(LimitsConfig { per_address, per_account }) => Some(Limits {
                limiter: Limiter::new(config.redis.as_ref(), &metrics)?,
                names: CounterNames::new(Arc::new(SecretKey::load_or_create(&config.keys_dir, Self::NAME)?)),
                usual: LimitClass::usual(Quota::new(per_address, MINUTE), Quota::new(per_account, MINUTE)),
                used_up: Cache::new(USED_UP_KEPT),
            }),
        };
        let rules = Arc::new(Rules {
            guard: Guard { verifier, keys, signer, link },
            routes,
            hosts: Hosts::new(config.functions_host.as_deref()),
            answer_stall: config.answer_stall,
            origins: config.origins,
            trusted_proxies: config.trusted_proxies,
            in_flight: InFlight::new(config.max_requests, config.max_in_flight),
            limits,
            health: Health::new(config.auth.operations, config.functions.operations),
            metrics: metrics.clone(),
            sockets: metrics
                .gauge("gateway_websockets", "WebSockets that are open.", &[])?
                .with_label_values::<&str>(&[]),
            socket_ping: config.socket_ping,
            tls: config.tls,
        });
        let server = config.server;
        let serve =
            |listener, stopping| Server::start(listener, server.workers, server.drain, &rules, &stopping);
        Ok(Application::serving_by_itself(&server, metrics, readiness, |listener, stopping| {
            serve(listener, stopping).map(Server::ended)
        })?)
    }

    fn openapi() -> OpenApi {
        Documentation::openapi()
    }
}

/// The gateway adds nothing to the document that it serves.
#[derive(utoipa::OpenApi)]
#[openapi()]
struct Documentation;
