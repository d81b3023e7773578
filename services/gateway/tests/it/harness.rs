use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use slipway_config::{Reader, Settings};
use slipway_gateway::{Config, Gateway};
use slipway_jwt::{
    AccessIssuer, Grant, IdentityVerifier, IssuedAccess, Jwks, ServiceName, SigningKeys, TrustedKeys,
};
use slipway_kernel::{FixedClock, SessionId, TokenId, UserId};
use slipway_models::auth::{RevokedSessionBody, UserType};
use slipway_telemetry::Metrics;
use slipway_testkit::fixed_clock;
use slipway_web::{Context, Service as _};
use tempfile::TempDir;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use crate::echo::{self, Services};
use crate::tap::{Tap, Tapped};

/// The gateway, running for one test.
pub(crate) struct TestGateway {
    pub(crate) address: SocketAddr,
    pub(crate) operations: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) services: Arc<Services>,
    pub(crate) issuer: AccessIssuer,
    /// Where the services behind serve, all of them.
    behind: SocketAddr,
    stop: CancellationToken,
    _keys: TempDir,
}

/// Somebody who signed in.
pub(crate) struct SignedIn {
    pub(crate) user_id: UserId,
    pub(crate) session: RevokedSessionBody,
    pub(crate) token: String,
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestGateway {
    /// Starts the gateway and waits until it is ready.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let gateway = Self::start_unready(settings).await;
        eventually(async || gateway.ready().await == 200).await;
        gateway
    }

    /// Starts the gateway with a tap before each service: of auth, and of the function-runner.
    pub(crate) async fn start_tapped(settings: &[(&str, &str)]) -> (Self, [Tapped; 2]) {
        let taps = [Tap::listen().await, Tap::listen().await];
        let mut all = vec![("AUTH_URL", taps[0].url.as_str()), ("FUNCTIONS_URL", taps[1].url.as_str())];
        all.extend_from_slice(settings);
        let gateway = Self::start_unready(&all).await;
        let tapped = taps.map(|tap| tap.forward_to(gateway.behind));
        eventually(async || gateway.ready().await == 200).await;
        (gateway, tapped)
    }

    /// Starts the gateway with settings of a test's own, in which `{behind}` is where the services are.
    pub(crate) async fn start_unready(settings: &[(&str, &str)]) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let clock = fixed_clock();
        let issuer = issuer(access_key(0), &clock);
        let trusted = Arc::new(TrustedKeys::load(keys.path()).unwrap());
        let verifier = |name: &str| {
            let name: ServiceName = name.parse().unwrap();
            IdentityVerifier::new(name, Arc::clone(&trusted), clock.clone())
        };
        let services = Arc::new(Services {
            auth: verifier("auth"),
            functions: verifier("functions"),
            jwks: Mutex::new(issuer.jwks()),
            revoked: Mutex::default(),
            revoked_users: Mutex::default(),
            api_keys: Mutex::default(),
            key_questions: AtomicUsize::new(0),
            key_gate: RwLock::default(),
            silent: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            pieces: AtomicUsize::new(0),
        });
        let behind = echo::serve(Arc::clone(&services));
        let url = format!("http://{behind}");
        let stop = CancellationToken::new();
        let context =
            Context { clock: clock.clone(), metrics: Metrics::new("gateway").unwrap(), stop: stop.clone() };
        let config = config(keys.path().to_str().unwrap(), &url, settings);
        let application = Gateway::build(config, context).await.unwrap();
        let (address, operations) = (application.address(), application.operations_address());
        tokio::spawn(application.run_until_stopped(stop.clone()));
        let client = reqwest::Client::builder().build().unwrap();
        Self { address, operations, client, clock, services, issuer, behind, stop, _keys: keys }
    }

    /// Has it stop, as the end of the test does.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    pub(crate) fn sign_in(&self) -> SignedIn {
        sign_in(&self.issuer)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Response {
        self.request(Method::GET, path).bearer_auth(token).send().await.unwrap()
    }

    /// Reads the metrics, off the private listener.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.operations);
        self.client.get(url).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn ready(&self) -> u16 {
        let url = format!("http://{}/health/ready", self.operations);
        self.client.get(url).send().await.unwrap().status().as_u16()
    }
}

pub(crate) fn sign_in(issuer: &AccessIssuer) -> SignedIn {
    sign_in_to(issuer, &["functions"])
}

pub(crate) fn sign_in_to(issuer: &AccessIssuer, apps: &[&str]) -> SignedIn {
    let (user_id, session_id) = (UserId::generate(), SessionId::generate());
    let apps = apps.iter().map(ToString::to_string).collect();
    let email = "ada@example.org".to_owned();
    let handle = "ada".into();
    let grant = Grant {
        token_id: TokenId::generate(),
        user_id,
        session_id,
        email,
        handle,
        user_type: UserType::Regular,
        apps,
        generation: 0,
    };
    let IssuedAccess { token, expires_at } = issuer.issue(grant).unwrap();
    SignedIn { user_id, session: RevokedSessionBody { session_id, expires_at }, token }
}

pub(crate) fn issuer(keys: SigningKeys, clock: &Arc<FixedClock>) -> AccessIssuer {
    AccessIssuer::new(keys, clock.clone())
}

const KEY_NAME: &str = "access-0.pem";

/// Returns the file of one of two RSA keys. Making one takes seconds, so all tests share them.
pub(crate) fn access_key_file(which: usize) -> &'static [u8] {
    static KEYS: [OnceLock<Vec<u8>>; 2] = [OnceLock::new(), OnceLock::new()];
    KEYS[which].get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        SigningKeys::load_or_create(directory.path()).unwrap();
        std::fs::read(directory.path().join(KEY_NAME)).unwrap()
    })
}

pub(crate) fn access_key(which: usize) -> SigningKeys {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(KEY_NAME);
    std::fs::write(&path, access_key_file(which)).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    SigningKeys::load_or_create(directory.path()).unwrap()
}

/// Waits until `holds`, within a generous bound.
pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(30), "it did not come to hold within 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads a problem: its status and its code.
pub(crate) async fn problem(answer: Response) -> (u16, String) {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["request_id"], &body["status"]), (&Value::from(id), &Value::from(status)));
    (status, body["code"].as_str().unwrap().to_owned())
}

pub(crate) fn no_keys() -> Jwks {
    Jwks::default()
}

fn config(keys: &str, services: &str, settings: &[(&str, &str)]) -> Config {
    let mut pairs = vec![
        ("KEYS_DIR", keys),
        ("GATEWAY_PORT", "0"),
        ("GATEWAY_OPERATIONS_PORT", "0"),
        ("GATEWAY_WORKERS", "1"),
        // Tests ask more often than people do, all from one address.
        ("GATEWAY_LIMITS", "false"),
        ("AUTH_URL", services),
        ("AUTH_OPERATIONS_URL", services),
        ("FUNCTIONS_URL", services),
        ("FUNCTIONS_OPERATIONS_URL", services),
    ];
    pairs.extend_from_slice(settings);
    let pairs = pairs.into_iter().map(|(name, value)| (name, value.replace("{behind}", services)));
    let settings = Settings::from_pairs(pairs);
    let mut reader = Reader::new(&settings);
    let config = Config::read(&mut reader);
    reader.finish().unwrap();
    config
}
