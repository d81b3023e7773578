//! Routes of the operator's own: `gateway.toml`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use slipway_models::api_keys::Scope;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::api_keys::add_key;
use crate::harness::{SignedIn, TestGateway, eventually, problem};
use crate::raw;

/// A service that answers with what it was asked, and counts.
async fn service() -> (String, Arc<AtomicUsize>) {
    service_that_answers("200 OK").await
}

async fn service_that_answers(status: &'static str) -> (String, Arc<AtomicUsize>) {
    let (listener, url) = raw::listen().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, head) = raw::accept_head(&listener).await;
            count.fetch_add(1, Ordering::SeqCst);
            let answer = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{head}",
                head.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, asked)
}

/// An address at which nothing listens.
async fn nowhere() -> String {
    let (listener, url) = raw::listen().await;
    drop(listener);
    url
}

fn route(prefix: &str, upstreams: &[&str], more: &str) -> String {
    format!("[[route]]\nprefix = '{prefix}'\nservice = 'reports'\nupstreams = {upstreams:?}\n{more}\n")
}

async fn start(text: &str) -> (TestGateway, PathBuf, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.toml");
    std::fs::write(&path, text).unwrap();
    let gateway = TestGateway::start_with(&[("GATEWAY_ROUTES", path.to_str().unwrap())]).await;
    (gateway, path, directory)
}

/// Puts a text in the place of a file's at once, as editors do.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, path).unwrap();
}

async fn status(gateway: &TestGateway, path: &str, caller: &SignedIn) -> u16 {
    gateway.get(path, &caller.token).await.status().as_u16()
}

#[tokio::test]
async fn a_service_of_the_operators_own_learns_who_calls() {
    let (url, _) = service().await;
    let (gateway, ..) = start(&route("/reports", &[&url], "")).await;
    let caller = gateway.sign_in();

    let head = gateway.get("/reports/2026?month=1", &caller.token).await.text().await.unwrap();

    assert!(head.starts_with("GET /reports/2026?month=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nx-user-id: {}\r\n", caller.user_id)), "{head}");
    let (_, token) = head.split_once("\r\nauthorization: Bearer ").unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&claims).unwrap()["aud"], "reports");
    assert!(!head.contains(&caller.token));
    let answer = gateway.request(Method::GET, "/reports").send().await.unwrap();
    assert_eq!(problem(answer).await, (401, "unauthenticated".to_owned()));
}

#[tokio::test]
async fn a_route_says_who_may_call_it() {
    let (url, _) = service().await;
    let text = route("/open", &[&url], "auth = 'none'")
        + &route("/either", &[&url], "auth = 'optional'")
        + &route("/vaulted", &[&url], "app = 'vault'");
    let (gateway, ..) = start(&text).await;
    let caller = gateway.sign_in();
    for path in ["/open", "/either"] {
        let answer = gateway.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!answer.text().await.unwrap().contains("x-user-id"));
    }
    let known = gateway.get("/either", &caller.token).await.text().await.unwrap();
    assert!(known.contains("x-user-id"));
    assert_eq!(problem(gateway.get("/vaulted", &caller.token).await).await.0, 403, "vault is not granted");
}

#[tokio::test]
async fn a_changed_file_is_taken_and_no_request_is_lost() {
    let (url, _) = service().await;
    let (slow, slow_url) = raw::listen().await;
    let (gateway, path, _directory) = start(&route("/reports", &[&slow_url], "")).await;
    let caller = gateway.sign_in();
    let under_way = tokio::spawn(gateway.request(Method::GET, "/reports").bearer_auth(&caller.token).send());
    let (mut stream, _) = raw::accept_head(&slow).await;

    replace(&path, &route("/figures", &[&url], ""));
    eventually(async || status(&gateway, "/figures", &caller).await == 200).await;
    assert_eq!(status(&gateway, "/reports", &caller).await, 404);

    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(under_way.await.unwrap().unwrap().text().await.unwrap(), "ok");

    // A file at fault changes nothing; the next good one counts.
    replace(&path, "[[route]]\nprefix = '/api/v1/users'");
    replace(&path, &(route("/figures", &[&url], "") + &route("/later", &[&url], "")));
    eventually(async || status(&gateway, "/later", &caller).await == 200).await;
    assert_eq!(status(&gateway, "/figures", &caller).await, 200);
}

#[tokio::test]
async fn where_one_replica_is_down_the_other_answers_and_no_client_sees_it() {
    let (up, asked) = service().await;
    let down = nowhere().await;
    let (gateway, ..) = start(&route("/reports", &[&down, &up], "")).await;
    let caller = gateway.sign_in();
    for _ in 0..30 {
        // A request that was never sent is not sent twice, whatever it is.
        let post = gateway.request(Method::POST, "/reports").bearer_auth(&caller.token).body("x");
        assert_eq!(post.send().await.unwrap().status(), 200);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 30);
}

#[tokio::test]
async fn a_service_of_the_platforms_own_may_have_several_addresses_too() {
    let several = format!("{}, {{behind}}", nowhere().await);
    let settings = ["AUTH_URL", "AUTH_OPERATIONS_URL", "FUNCTIONS_URL"].map(|name| (name, several.as_str()));
    let gateway = TestGateway::start_with(&settings).await;
    let caller = gateway.sign_in();
    for path in ["/api/v1/functions", "/api/v1/users"] {
        for _ in 0..10 {
            assert_eq!(status(&gateway, path, &caller).await, 200, "{path}");
        }
    }
    // What the gateway asks on its own behalf.
    let (key, _) = add_key(&gateway, &[Scope::FunctionsRead]);
    assert_eq!(gateway.get("/api/v1/functions", key.expose()).await.status(), 200);
    assert_eq!(gateway.request(Method::GET, "/health").send().await.unwrap().status(), 200);
    let metrics = gateway.metrics().await;
    for name in ["gateway_retries_total", "gateway_circuits_opened_total"] {
        let line = metrics.lines().find(|line| line.starts_with(name) && line.contains(r#"to="functions""#));
        assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{name} in {metrics}");
    }
}

#[tokio::test]
async fn what_may_have_taken_effect_is_not_asked_for_twice() {
    let (breaking, breaking_url) = raw::listen().await;
    tokio::spawn(async move {
        loop {
            drop(raw::accept_head(&breaking).await);
        }
    });
    let (up, asked) = service().await;
    let (gateway, ..) = start(&route("/reports", &[&breaking_url, &up], "")).await;
    let caller = gateway.sign_in();
    let send = async |method| {
        let request = gateway.request(method, "/reports").bearer_auth(&caller.token);
        request.send().await.unwrap().status().as_u16()
    };
    // Equals take turns: of two requests one goes to each.
    let mut posts = [send(Method::POST).await, send(Method::POST).await];
    posts.sort_unstable();
    assert_eq!(posts, [200, 502]);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!([send(Method::GET).await, send(Method::GET).await], [200, 200]);
}

#[tokio::test]
async fn a_service_whose_replicas_all_fail_is_left_alone_for_a_moment() {
    let down = nowhere().await;
    let (gateway, ..) = start(&route("/reports", &[&down], "")).await;
    let caller = gateway.sign_in();
    for _ in 0..8 {
        let answer = gateway.get("/reports", &caller.token).await;
        assert!(answer.headers().contains_key("retry-after"));
        assert_eq!(problem(answer).await, (503, "unavailable".to_owned()));
    }
}

#[tokio::test]
async fn a_lone_service_that_fails_by_itself_goes_on_being_asked() {
    let (failing, asked) = service_that_answers("500 Internal Server Error").await;
    let (gateway, ..) = start(&route("/reports", &[&failing], "")).await;
    let caller = gateway.sign_in();
    for _ in 0..8 {
        assert_eq!(status(&gateway, "/reports", &caller).await, 500);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 8);
}
