//! A service for nginx's `auth_request` as a team would write it by hand: it verifies each token anew.

use std::path::Path;

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Data, get};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value};
use slipway_end_to_end::free_port;
use tempfile::TempDir;

use crate::processes::PROXY;
use crate::rivals::{Server, start_on};

/// As the first argument of the bench, has it be this service, with the port and the public key's file.
pub(crate) const ARGUMENT: &str = "--verifier";

/// Starts the service as a process of its own, on the proxy's processor.
pub(crate) fn start(directory: &TempDir, public_key: &Path) -> Server {
    let own = std::env::current_exe().expect("the own path").display().to_string();
    let (port, key) = (free_port(), public_key.display().to_string());
    let arguments = [ARGUMENT, &port.to_string(), &key];
    Server::listening(port, start_on(PROXY, &own, &arguments, &directory.path().join("verifier.log")))
}

/// Serves until the process is told to end.
pub(crate) async fn serve(arguments: &[String]) {
    let [port, key] = arguments else { panic!("{ARGUMENT} takes a port and a file") };
    let port: u16 = port.parse().expect("a port");
    let key = DecodingKey::from_rsa_pem(&std::fs::read(key).expect("the key")).expect("a key in PEM");
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["slipway-api"]);
    validation.set_issuer(&["slipway"]);
    let checks = Data::new((key, validation));
    let server =
        HttpServer::new(move || App::new().app_data(checks.clone()).route("/check", get().to(check)));
    server.workers(1).bind(("127.0.0.1", port)).expect("the port").run().await.expect("a server");
}

async fn check(request: HttpRequest, checks: Data<(DecodingKey, Validation)>) -> HttpResponse {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = header.and_then(|header| header.strip_prefix("Bearer ")) else {
        return HttpResponse::Unauthorized().finish();
    };
    let (key, validation) = &**checks;
    match decode::<Map<String, Value>>(token, key, validation) {
        Ok(token) => {
            let user = token.claims.get("sub").and_then(Value::as_str).unwrap_or_default();
            HttpResponse::NoContent().insert_header(("x-user-id", user)).finish()
        }
        Err(_) => HttpResponse::Unauthorized().finish(),
    }
}
