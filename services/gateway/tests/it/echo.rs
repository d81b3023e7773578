//! The services behind the gateway, as the tests need them: they answer what they were asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::web::{self, Bytes, Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use slipway_jwt::{IdentityVerifier, Jwks, Subject};
use slipway_models::api_keys::{ApiKeyAnswer, ApiKeyQuestion, KnownApiKey};
use slipway_models::auth::{RevocationFeed, RevokedSessionBody, RevokedUserBody};
use tokio::sync::RwLock;

pub(crate) const PIECE: usize = 64 * 1024;
pub(crate) static PIECE_OF_SEVENS: [u8; PIECE] = [7; PIECE];

/// What the services behind know and were asked.
pub(crate) struct Services {
    pub(crate) auth: IdentityVerifier,
    pub(crate) functions: IdentityVerifier,
    pub(crate) jwks: Mutex<Jwks>,
    pub(crate) revoked: Mutex<Vec<RevokedSessionBody>>,
    pub(crate) revoked_users: Mutex<Vec<RevokedUserBody>>,
    /// API keys, by their fingerprints.
    pub(crate) api_keys: Mutex<HashMap<String, KnownApiKey>>,
    /// How often auth was asked for one.
    pub(crate) key_questions: AtomicUsize,
    /// No such question is answered while a test holds this.
    pub(crate) key_gate: RwLock<()>,
    /// When set, nothing of auth's own is answered.
    pub(crate) silent: AtomicBool,
    /// Requests that were passed on.
    pub(crate) asked: AtomicUsize,
    /// Pieces of the endless answer that were asked for.
    pub(crate) pieces: AtomicUsize,
}

/// Serves all services on one free port.
pub(crate) fn serve(services: Arc<Services>) -> SocketAddr {
    let services = Data::from(services);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(services.clone())
            .route("/api/v1/auth/jwks.json", web::get().to(jwks))
            .route("/internal/revocations", web::get().to(revocations))
            .route("/internal/api-keys", web::post().to(api_key))
            .route("/health/ready", web::get().to(ready))
            .route("/api/v1/functions/endless", web::get().to(endless))
            .route("/api/v1/functions/nothing", web::to(nothing))
            .route("/f/eve/hostile", web::get().to(hostile))
            .default_service(web::to(echo))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .unwrap();
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    address
}

async fn jwks(services: Data<Services>) -> HttpResponse {
    if services.silent.load(Ordering::SeqCst) {
        return HttpResponse::ServiceUnavailable().finish();
    }
    HttpResponse::Ok().json(&*services.jwks.lock().unwrap())
}

/// As auth does it: for services alone, and what comes after the cursor.
async fn revocations(
    request: HttpRequest,
    services: Data<Services>,
    query: web::Query<Vec<(String, usize)>>,
) -> HttpResponse {
    let identity = services.auth.verify(bearer(&request).unwrap()).unwrap();
    assert_eq!(identity.subject, Subject::Service("gateway".parse().unwrap()));
    if services.silent.load(Ordering::SeqCst) {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let revoked = services.revoked.lock().unwrap();
    let since = query.first().map_or(0, |(_, since)| *since);
    let feed = RevocationFeed {
        revoked: revoked[since..].to_vec(),
        users: services.revoked_users.lock().unwrap().clone(),
        cursor: revoked.len().to_string(),
    };
    HttpResponse::Ok().json(feed)
}

async fn api_key(
    request: HttpRequest,
    services: Data<Services>,
    question: web::Json<ApiKeyQuestion>,
) -> HttpResponse {
    let identity = services.auth.verify(bearer(&request).unwrap()).unwrap();
    assert_eq!(identity.subject, Subject::Service("gateway".parse().unwrap()));
    services.key_questions.fetch_add(1, Ordering::SeqCst);
    let _open = services.key_gate.read().await;
    let key = services.api_keys.lock().unwrap().get(&question.fingerprint).cloned();
    HttpResponse::Ok().json(ApiKeyAnswer { key })
}

async fn ready() -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// Answers what came: the head as JSON, and how long the body was and what its bytes add up to.
async fn echo(request: HttpRequest, mut body: Payload, services: Data<Services>) -> HttpResponse {
    services.asked.fetch_add(1, Ordering::SeqCst);
    let (mut length, mut sum) = (0, 0_u64);
    while let Some(piece) = body.next().await {
        let Ok(piece) = piece else { return HttpResponse::BadRequest().finish() };
        length += piece.len();
        sum = piece.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    }
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let identity = bearer(&request).map(|token| services.functions.verify(token).is_ok());
    HttpResponse::Ok().json(json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "query": request.query_string(),
        "headers": headers,
        "identity": identity,
        "length": length,
        "sum": sum,
    }))
}

async fn endless(services: Data<Services>) -> HttpResponse {
    HttpResponse::Ok().streaming(stream::repeat_with(move || {
        services.pieces.fetch_add(1, Ordering::SeqCst);
        Ok::<_, actix_web::Error>(Bytes::from_static(&PIECE_OF_SEVENS))
    }))
}

/// Answers what a function may, that wants more than its own page.
async fn hostile() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html")
        .append_header(("set-cookie", "__Host-slipway_access=eve; Path=/; Secure"))
        .append_header(("set-cookie", "theme=eve; Path=/"))
        .append_header(("clear-site-data", "\"*\""))
        .append_header(("service-worker-allowed", "/"))
        .append_header(("strict-transport-security", "max-age=31536000"))
        .append_header(("www-authenticate", "Basic realm=\"Slipway\""))
        .append_header(("nel", "{}"))
        .append_header(("content-security-policy", "default-src *"))
        .append_header(("x-mine", "1"))
        .body("<script>document.cookie = 'theme=eve'</script>")
}

/// Answers with nothing, once it has read all.
async fn nothing(mut body: Payload) -> HttpResponse {
    while body.next().await.is_some() {}
    HttpResponse::NoContent().finish()
}

pub(crate) fn bearer(request: &HttpRequest) -> Option<&str> {
    request.headers().get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Returns the values that a header had when it reached the service.
pub(crate) fn values<'a>(echoed: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = echoed["headers"].as_array().unwrap();
    headers.iter().filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap()).collect()
}
