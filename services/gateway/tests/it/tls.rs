//! TLS that the gateway does itself.

use std::path::Path;

use reqwest::{Certificate, Client, Method};
use serde_json::Value;
use slipway_testkit::tls;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::echo::values;
use crate::harness::{TestGateway, eventually};

async fn start() -> (TestGateway, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    tls::certify(directory.path(), "IP:127.0.0.1");
    let file = |name| directory.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (file(tls::CERTIFICATE), file(tls::KEY));
    let settings =
        [("GATEWAY_TLS_CERTIFICATE_FILE", certificate.as_str()), ("GATEWAY_TLS_KEY_FILE", key.as_str())];
    (TestGateway::start_with(&settings).await, directory)
}

/// A client that trusts the authority of a directory and no other, and keeps no connection.
fn client(directory: &Path) -> Client {
    let authority = std::fs::read(directory.join(tls::AUTHORITY)).unwrap();
    let authority = Certificate::from_pem(&authority).unwrap();
    Client::builder().tls_certs_only([authority]).pool_max_idle_per_host(0).build().unwrap()
}

#[tokio::test]
async fn requests_come_by_tls_and_no_other_way_where_there_is_a_certificate() {
    let (gateway, directory) = start().await;
    let url = format!("https://{}/api/functions", gateway.address);
    let request = client(directory.path()).request(Method::GET, &url).bearer_auth(gateway.sign_in().token);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    let echoed: Value = answer.json().await.unwrap();
    assert_eq!(values(&echoed, "x-forwarded-proto"), ["https"]);

    let mut plain = TcpStream::connect(gateway.address).await.unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn long_bodies_pass_both_ways_by_tls() {
    let (gateway, directory) = start().await;
    let body: Vec<u8> = (0..=250).cycle().take(3_000_000).collect();
    let sum = body.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let url = format!("https://{}/api/v1/functions/x", gateway.address);
    let request = client(directory.path()).request(Method::POST, url).bearer_auth(gateway.sign_in().token);
    let echoed: Value = request.body(body).send().await.unwrap().json().await.unwrap();
    assert_eq!((&echoed["length"], &echoed["sum"]), (&3_000_000.into(), &sum.into()));
}

#[tokio::test]
async fn a_changed_certificate_is_taken_and_files_at_fault_are_not() {
    let (gateway, directory) = start().await;
    let url = format!("https://{}/health", gateway.address);
    let is_trusted = async |directory: &Path| client(directory).get(&url).send().await.is_ok();
    assert!(is_trusted(directory.path()).await);

    let other = tempfile::tempdir().unwrap();
    tls::certify(other.path(), "IP:127.0.0.1");
    assert!(!is_trusted(other.path()).await);
    // Between the two the files do not go together: what was read before goes on.
    for name in [tls::CERTIFICATE, tls::KEY] {
        assert!(is_trusted(directory.path()).await);
        let new = directory.path().join("new");
        std::fs::copy(other.path().join(name), &new).unwrap();
        std::fs::rename(new, directory.path().join(name)).unwrap();
    }
    eventually(async || is_trusted(other.path()).await).await;
}
