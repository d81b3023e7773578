use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use slipway_auth::{Auth, Config, MIGRATIONS};
use slipway_config::{Reader, Settings};
use slipway_jwt::SigningKeys;
use slipway_kernel::{FixedClock, UserId};
use slipway_models::auth::UserType;
use slipway_telemetry::Metrics;
use slipway_testkit::{Callers, TestDatabase, fixed_clock};
use slipway_web::{BoxError, Context, Service as _};
use tokio_util::sync::CancellationToken;

pub(crate) const PASSWORD: &str = "Correct horse battery";

/// Auth, running for one test.
pub(crate) struct TestAuth {
    pub(crate) base: String,
    pub(crate) operations: String,
    pub(crate) client: reqwest::Client,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) callers: Callers,
    pub(crate) database: TestDatabase,
    stop: CancellationToken,
}

impl Drop for TestAuth {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestAuth {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create("auth", MIGRATIONS);
        Self::start_on(database, settings).await
    }

    pub(crate) async fn start_on(database: TestDatabase, settings: &[(&str, &str)]) -> Self {
        Self::try_start_on(database, settings).await.unwrap()
    }

    pub(crate) async fn try_start_on(
        database: TestDatabase,
        settings: &[(&str, &str)],
    ) -> Result<Self, BoxError> {
        let clock = fixed_clock();
        let callers = Callers::of("auth", clock.clone());
        install_access_key(&callers);
        let stop = CancellationToken::new();
        let context =
            Context { clock: clock.clone(), metrics: Metrics::new("auth").unwrap(), stop: stop.clone() };
        let application = Auth::build(config(&database, &callers, settings), context).await?;
        let base = format!("http://{}", application.address());
        let operations = format!("http://{}", application.operations_address());
        tokio::spawn(application.run_until_stopped(stop.clone()));
        let client = reqwest::Client::builder().build().unwrap();
        Ok(Self { base, operations, client, clock, callers, database, stop })
    }

    /// Starts another one beside it, with the same database and keys; returns where it serves.
    pub(crate) async fn start_replica(&self, settings: &[(&str, &str)]) -> String {
        let stop = self.stop.child_token();
        let clock = self.clock.clone();
        let context = Context { clock, metrics: Metrics::new("auth").unwrap(), stop: stop.clone() };
        let application =
            Auth::build(config(&self.database, &self.callers, settings), context).await.unwrap();
        let base = format!("http://{}", application.address());
        tokio::spawn(application.run_until_stopped(stop));
        base
    }

    /// Stops it as a signal would; its database stays.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        self.client.post(format!("{}{path}", self.base)).json(&body).send().await.unwrap()
    }

    pub(crate) async fn get_as(&self, path: &str, authorization: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.base));
        request.header("authorization", authorization).send().await.unwrap()
    }

    pub(crate) async fn register(&self, email: &str) -> Value {
        let answer = self.post("/api/v1/auth/register", json!({"email": email, "password": PASSWORD})).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.json().await.unwrap()
    }

    /// Registers a blind account whose client derived 32 bytes of this value.
    pub(crate) async fn register_blind(&self, email: &str, byte: u8) {
        let account = json!({"email": email, "auth_hash": auth_hash(byte), "kdf": kdf()});
        assert_eq!(self.post("/api/v1/auth/register", account).await.status(), StatusCode::CREATED);
    }

    pub(crate) async fn login(&self, email: &str) -> Value {
        let answer = self.post("/api/v1/auth/login", json!({"email": email, "password": PASSWORD})).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    /// Registers and signs in; returns the tokens.
    pub(crate) async fn signed_in(&self) -> Value {
        self.register("ada@example.org").await;
        self.login("ada@example.org").await
    }

    pub(crate) async fn refresh(&self, token: &Value) -> Response {
        self.post("/api/v1/auth/refresh", json!({"refresh_token": token})).await
    }

    /// Signs a request as the gateway does for the owner of the tokens.
    pub(crate) fn as_owner(&self, request: RequestBuilder, tokens: &Value) -> RequestBuilder {
        let session = tokens["session_id"].as_str().unwrap().parse().unwrap();
        let caller = self.callers.session(owner(tokens), session, UserType::Regular);
        request.header("authorization", caller.authorization)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Reads the metrics that the operations listener shows: the value of one series.
    pub(crate) async fn metric(&self, series: &str) -> Option<String> {
        let url = format!("{}/metrics", self.operations);
        let text = self.client.get(url).send().await.unwrap().text().await.unwrap();
        text.lines().find_map(|line| line.strip_prefix(series).map(|value| value.trim().to_owned()))
    }

    /// Ends the session of the tokens, as the gateway would pass its owner's request on.
    pub(crate) async fn logout(&self, tokens: &Value) -> StatusCode {
        self.logout_as(owner(tokens), tokens).await
    }

    /// Asks as `user` for the end of the session of the tokens.
    pub(crate) async fn logout_as(&self, user: UserId, tokens: &Value) -> StatusCode {
        let session = tokens["session_id"].as_str().unwrap().parse().unwrap();
        let caller = self.callers.session(user, session, UserType::Regular);
        let request = self.client.post(format!("{}/api/v1/auth/logout", self.base));
        request.header("authorization", caller.authorization).send().await.unwrap().status()
    }
}

/// What the client of a blind account derived: 32 bytes of one value.
pub(crate) fn auth_hash(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

/// How it derived that.
pub(crate) fn kdf() -> Value {
    json!({"algorithm": "pbkdf2-sha256", "iterations": 700_000, "salt": "c2l4dGVlbiBieXRlcyE1Ng=="})
}

/// Reads the claims of the access token.
pub(crate) fn claims(tokens: &Value) -> Value {
    let claims = tokens["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

fn owner(tokens: &Value) -> UserId {
    claims(tokens)["sub"].as_str().unwrap().parse().unwrap()
}

/// Reads a problem: its status, its code, and the pointers of its fields.
pub(crate) async fn problem(answer: Response) -> (u16, String, Vec<String>) {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["request_id"], id);
    assert_eq!(body["status"], status);
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let pointers = errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
    (status, body["code"].as_str().unwrap().to_owned(), pointers)
}

fn config(database: &TestDatabase, callers: &Callers, settings: &[(&str, &str)]) -> Config {
    let (url, owner_url) = (database.url(), database.owner_url());
    let keys_dir = callers.keys_dir().to_str().unwrap();
    let mut pairs = vec![
        ("AUTH_DATABASE_URL", url.expose()),
        ("AUTH_DATABASE_OWNER_URL", owner_url.expose()),
        ("AUTH_DATABASE_TIMEOUT_MS", "15000"),
        ("AUTH_PORT", "0"),
        ("AUTH_OPERATIONS_PORT", "0"),
        ("AUTH_WORKERS", "1"),
        // Tests that ask for much at once ask for all of it.
        ("AUTH_HASHING_QUEUE", "1000"),
        ("AUTH_LIMITS", "false"),
        ("KEYS_DIR", keys_dir),
        ("ADMIN_PASSWORD", PASSWORD),
    ];
    pairs.extend_from_slice(settings);
    let is_cost_set = pairs.iter().any(|(name, _)| *name == "AUTH_BCRYPT_COST");
    let settings = Settings::from_pairs(pairs);
    let mut reader = Reader::new(&settings);
    let mut config = Config::read(&mut reader);
    reader.finish().unwrap();
    if !is_cost_set {
        // The lowest that bcrypt has: what is tested is not how long it takes.
        config.bcrypt_cost = 4;
    }
    config
}

/// Gives each test the same RSA key: making one takes seconds.
pub(crate) fn install_access_key(callers: &Callers) {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    const NAME: &str = "access-0.pem";
    let key = KEY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        SigningKeys::load_or_create(directory.path()).unwrap();
        std::fs::read(directory.path().join(NAME)).unwrap()
    });
    let path = callers.keys_dir().join(NAME);
    std::fs::write(&path, key).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
