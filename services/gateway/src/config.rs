//! The gateway's settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use slipway_config::Reader;
use slipway_redis::RedisUrl;
use slipway_web::ServerConfig;

use crate::domain::host;
use crate::domain::origin::Origins;
use crate::domain::proxies::TrustedProxies;
use crate::limits::MAX_LIMIT;
use crate::routes::{self, AddedRoute, RoutesFile};
use crate::server::Tls;

/// The gateway's settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub server: ServerConfig,
    /// The directory of the platform's keys.
    pub keys_dir: PathBuf,
    /// Where auth is.
    pub auth: Peer,
    /// Where the function-runner is.
    pub functions: Peer,
    /// The file of added routes.
    pub(crate) routes_file: Option<RoutesFile>,
    /// What it says.
    pub(crate) added_routes: Vec<AddedRoute>,
    /// How many access tokens are remembered as verified.
    pub token_cache: usize,
    /// How many requests of one account may be under way.
    pub max_in_flight: usize,
    /// How often callers may ask; nothing where that is not limited.
    pub limits: Option<LimitsConfig>,
    /// How many API keys are remembered as good.
    pub api_key_cache: usize,
    /// How old the news of ended sessions may grow before every token is refused.
    pub revocations_max_age: Duration,
    /// The host name that functions have of their own.
    pub functions_host: Option<String>,
    /// How long a client may take nothing of a long answer.
    pub answer_stall: Duration,
    /// After so long without a word from a client its WebSocket is pinged.
    pub socket_ping: Duration,
    /// TLS, where it does that itself.
    pub tls: Option<Arc<Tls>>,
    /// How many requests may be under way in all.
    pub max_requests: usize,
    /// Through which revocations are heard of at once.
    pub redis: Option<RedisUrl>,
    pub(crate) origins: Origins,
    pub(crate) trusted_proxies: TrustedProxies,
}

/// How often callers may ask a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsConfig {
    /// From each address, where they show no valid credential.
    pub per_address: u32,
    /// With each account.
    pub per_account: u32,
}

impl LimitsConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let config = Self {
            per_address: reader.within("GATEWAY_LIMIT_PER_ADDRESS", 100, 1..=MAX_LIMIT),
            per_account: reader.within("GATEWAY_LIMIT_PER_ACCOUNT", 600, 1..=MAX_LIMIT),
        };
        reader.or("GATEWAY_LIMITS", true).then_some(config)
    }
}

/// Where one service is: the private addresses of its replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where they serve.
    pub serving: Vec<Authority>,
    /// Where they say how they are.
    pub operations: Vec<Authority>,
}

impl Config {
    /// Reads the settings that README.md lists.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let mut routes_file = reader.optional("GATEWAY_ROUTES").map(RoutesFile::new);
        let added_routes = routes_file.as_mut().map_or(Ok(Vec::new()), RoutesFile::load);
        let added_routes = added_routes.unwrap_or_else(|fault| {
            reader.refuse("GATEWAY_ROUTES", format_args!("cannot be used: {fault}"));
            Vec::new()
        });
        Self {
            server: ServerConfig::read(reader, "GATEWAY", 8080, 9080),
            keys_dir: reader.required("KEYS_DIR").into(),
            auth: Peer::read(reader, "AUTH", 8101, 9101),
            functions: Peer::read(reader, "FUNCTIONS", 8103, 9103),
            routes_file,
            added_routes,
            token_cache: reader.within("GATEWAY_TOKEN_CACHE", 20_000, 100..=1_000_000),
            max_in_flight: reader.within("GATEWAY_MAX_IN_FLIGHT", 256, 1..=1_000_000),
            limits: LimitsConfig::read(reader),
            api_key_cache: reader.within("GATEWAY_API_KEY_CACHE", 10_000, 100..=1_000_000),
            revocations_max_age: Duration::from_secs(reader.within(
                "GATEWAY_REVOCATIONS_MAX_AGE_SECONDS",
                10,
                2..=300,
            )),
            functions_host: functions_host(reader),
            answer_stall: Duration::from_secs(reader.within("GATEWAY_ANSWER_STALL_SECONDS", 60, 1..=3_600)),
            socket_ping: Duration::from_secs(reader.within("GATEWAY_WEBSOCKET_PING_SECONDS", 30, 1..=3_600)),
            tls: tls(reader),
            max_requests: reader.within("GATEWAY_MAX_REQUESTS", 8_192, 1..=1_000_000),
            redis: RedisUrl::read(reader),
            origins: Origins::new(&reader.list("GATEWAY_ORIGINS").unwrap_or_default()),
            trusted_proxies: TrustedProxies::new(reader.list("GATEWAY_TRUSTED_PROXIES").unwrap_or_default()),
        }
    }
}

impl Peer {
    fn read(reader: &mut Reader<'_>, prefix: &str, port: u16, operations_port: u16) -> Self {
        Self {
            serving: addresses(reader, &format!("{prefix}_URL"), &format!("{prefix}_PORT"), port),
            operations: addresses(
                reader,
                &format!("{prefix}_OPERATIONS_URL"),
                &format!("{prefix}_OPERATIONS_PORT"),
                operations_port,
            ),
        }
    }
}

fn tls(reader: &mut Reader<'_>) -> Option<Arc<Tls>> {
    const CERTIFICATE: &str = "GATEWAY_TLS_CERTIFICATE_FILE";
    const KEY: &str = "GATEWAY_TLS_KEY_FILE";
    let files: [Option<PathBuf>; 2] = [reader.optional(CERTIFICATE), reader.optional(KEY)];
    match files {
        [None, None] => None,
        [Some(certificate), Some(key)] => match Tls::load(certificate, key) {
            Ok(tls) => Some(Arc::new(tls)),
            Err(fault) => {
                reader.refuse(CERTIFICATE, format_args!("cannot be used: {fault}"));
                None
            }
        },
        [certificate, _] => {
            let (missing, other) =
                if certificate.is_none() { (CERTIFICATE, KEY) } else { (KEY, CERTIFICATE) };
            reader.refuse(missing, format_args!("must be set where {other} is"));
            None
        }
    }
}

fn functions_host(reader: &mut Reader<'_>) -> Option<String> {
    let given: Option<String> = reader.optional("FUNCTIONS_HOST");
    if given.as_deref().is_some_and(|given| !host::is_name(given)) {
        reader.refuse("FUNCTIONS_HOST", "must be a host name, without a scheme and a port");
    }
    given
}

/// Reads where the replicas of a service are; by default there is one, on this machine.
fn addresses(reader: &mut Reader<'_>, url: &str, port: &str, default_port: u16) -> Vec<Authority> {
    let port = reader.or(port, default_port);
    let given: Vec<String> = reader.list(url).unwrap_or_default();
    let given = if given.is_empty() { vec![format!("http://127.0.0.1:{port}")] } else { given };
    let mut addresses = Vec::with_capacity(given.len());
    for text in given {
        match routes::authority(&text) {
            Some(address) if addresses.contains(&address) => {
                reader.refuse(url, format_args!("names {address} twice"));
            }
            Some(address) => addresses.push(address),
            None => reader
                .refuse(url, "must be of the form http://host:port, or several of them with commas between"),
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use slipway_config::Settings;

    use super::*;

    fn read(url: &'static str) -> Result<Config, String> {
        let settings =
            Settings::from_pairs([("KEYS_DIR", "/keys"), ("AUTH_URL", url), ("FUNCTIONS_PORT", "18103")]);
        let mut reader = Reader::new(&settings);
        let config = Config::read(&mut reader);
        reader.finish().map(|()| config).map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_service_is_where_its_url_or_else_its_port_says() {
        let config = read("http://auth.internal:81/").unwrap();
        assert_eq!(config.auth.serving, ["auth.internal:81"]);
        assert_eq!(config.auth.operations, ["127.0.0.1:9101"]);
        assert_eq!(config.functions.serving, ["127.0.0.1:18103"]);
        let config = read("http://auth-0:81, http://auth-1:81").unwrap();
        assert_eq!(config.auth.serving, ["auth-0:81", "auth-1:81"]);
    }

    #[test]
    fn the_host_of_functions_is_a_name_and_nothing_more() {
        for given in ["https://f.example.org", "f.example.org:443", "*.example.org"] {
            let settings = Settings::from_pairs([("KEYS_DIR", "/keys"), ("FUNCTIONS_HOST", given)]);
            let mut reader = Reader::new(&settings);
            Config::read(&mut reader);
            let faults = reader.finish().unwrap_err().to_string();
            assert_eq!(faults, "FUNCTIONS_HOST must be a host name, without a scheme and a port", "{given}");
        }
    }

    #[test]
    fn an_origin_that_no_browser_would_write_is_refused() {
        let settings =
            Settings::from_pairs([("KEYS_DIR", "/keys"), ("GATEWAY_ORIGINS", "https://a.example, *")]);
        let mut reader = Reader::new(&settings);
        Config::read(&mut reader);
        let faults = reader.finish().unwrap_err().to_string();
        assert!(faults.starts_with("GATEWAY_ORIGINS cannot be read: must be an origin"), "{faults}");
    }

    #[test]
    fn an_address_of_another_form_is_refused_by_name() {
        for url in
            ["auth:81", "https://auth:81", "http://", "http://a:b@auth", "http://auth/api", "http://auth?x"]
        {
            let told =
                "AUTH_URL must be of the form http://host:port, or several of them with commas between";
            assert_eq!(read(url).unwrap_err(), told, "{url}");
        }
        assert_eq!(read("http://a:1,http://a:1").unwrap_err(), "AUTH_URL names a:1 twice");
    }
}
