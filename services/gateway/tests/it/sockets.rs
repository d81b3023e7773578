//! Sockets (RFC 6455) through the gateway.

use std::time::Duration;

use slipway_models::auth::RevokedSessionBody;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::harness::{SignedIn, TestGateway, eventually};
use crate::raw;

/// What a client masks its frames with.
const MASK: [u8; 4] = [1, 2, 3, 4];
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway with one route that takes sockets, to a service that a test plays.
struct Playing {
    gateway: TestGateway,
    service: TcpListener,
    caller: SignedIn,
    _directory: TempDir,
}

impl Playing {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let (service, url) = raw::listen().await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.toml");
        let route = |prefix, more| {
            format!("[[route]]\nprefix = '{prefix}'\nservice = 'chat'\nupstreams = ['{url}']\n{more}\n")
        };
        std::fs::write(&path, route("/chat", "websocket = true") + &route("/plain", "")).unwrap();
        let mut all = vec![("GATEWAY_ROUTES", path.to_str().unwrap())];
        all.extend_from_slice(settings);
        let gateway = TestGateway::start_with(&all).await;
        let caller = gateway.sign_in();
        Self { gateway, service, caller, _directory: directory }
    }

    fn handshake(&self, path: &str, more: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n",
            self.caller.token
        )
    }

    /// Opens a socket; returns both ends, and the head that the service saw.
    async fn open(&self) -> (TcpStream, TcpStream, String) {
        let mut client = TcpStream::connect(self.gateway.address).await.unwrap();
        client.write_all(self.handshake("/chat/room", "").as_bytes()).await.unwrap();
        let (mut service, head) = raw::accept_head(&self.service).await;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Slipway-Secret: x\r\n\r\n";
        service.write_all(answer.as_bytes()).await.unwrap();
        let answered = raw::read_head(&mut client).await;
        assert!(answered.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answered}");
        let lines: Vec<_> = answered.lines().collect();
        for line in [
            "connection: upgrade",
            "upgrade: websocket",
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        ] {
            assert!(lines.contains(&line), "{answered}");
        }
        assert!(!answered.contains("x-slipway"), "{answered}");
        (client, service, head)
    }
}

/// Reads a frame without a mask: its first byte, and what it holds.
async fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let reading = async {
        let first = stream.read_u8().await.ok()?;
        let length = stream.read_u8().await.ok()?;
        let mut payload = vec![0; length.into()];
        stream.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    };
    timeout(PATIENCE, reading).await.unwrap()
}

fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode, 0x80 | u8::try_from(payload.len()).unwrap()];
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[tokio::test]
async fn frames_pass_both_ways_as_they_are_and_the_service_learns_who_calls() {
    let playing = Playing::start(&[]).await;
    let (mut client, mut service, head) = playing.open().await;
    for line in ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"] {
        assert!(head.lines().any(|found| found == line), "{head}");
    }
    assert!(head.contains(&format!("x-user-id: {}", playing.caller.user_id)), "{head}");
    assert!(!head.contains(&playing.caller.token), "{head}");

    let question = masked(1, b"hello");
    client.write_all(&question).await.unwrap();
    let mut seen = vec![0; question.len()];
    service.read_exact(&mut seen).await.unwrap();
    assert_eq!(seen, question);

    let long = vec![7_u8; 1_000_000];
    let mut answer = vec![0x82, 127];
    answer.extend_from_slice(&(long.len() as u64).to_be_bytes());
    answer.extend_from_slice(&long);
    let sending = tokio::spawn(async move {
        service.write_all(&answer).await.unwrap();
        service
    });
    let mut taken = vec![0; 10 + long.len()];
    client.read_exact(&mut taken).await.unwrap();
    assert_eq!(taken[10..], long);
    drop(client);
    assert_eq!(sending.await.unwrap().read(&mut [0; 1]).await.unwrap_or(0), 0, "the service sees the end");
}

#[tokio::test]
async fn what_a_service_answers_in_the_place_of_a_socket_passes() {
    let playing = Playing::start(&[]).await;
    let mut client = TcpStream::connect(playing.gateway.address).await.unwrap();
    client.write_all(playing.handshake("/chat/none", "").as_bytes()).await.unwrap();
    let (mut service, _) = raw::accept_head(&playing.service).await;
    service.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    assert!(raw::read_head(&mut client).await.starts_with("HTTP/1.1 404 Not Found\r\n"));
    let mut body = [0; 2];
    client.read_exact(&mut body).await.unwrap();
    assert_eq!(&body, b"no");
}

#[tokio::test]
async fn a_route_that_takes_no_sockets_passes_a_plain_request() {
    let playing = Playing::start(&[]).await;
    let mut client = TcpStream::connect(playing.gateway.address).await.unwrap();
    client.write_all(playing.handshake("/plain", "").as_bytes()).await.unwrap();
    let (mut service, head) = raw::accept_head(&playing.service).await;
    assert!(!head.contains("upgrade"), "{head}");
    // A service that switches although nobody asked it to is not believed.
    service.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n").await.unwrap();
    assert!(raw::read_head(&mut client).await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn a_page_of_another_site_opens_no_socket() {
    let playing = Playing::start(&[]).await;
    let request = playing.handshake("/chat", "Origin: https://evil.example\r\nConnection: close\r\n");
    let answer = raw::exchange(playing.gateway.address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("origin_refused"), "{answer}");
}

#[tokio::test]
async fn a_socket_is_closed_when_its_session_ends_and_others_stay() {
    let playing = Playing::start(&[]).await;
    let (mut client, _service, _) = playing.open().await;
    let RevokedSessionBody { session_id, expires_at } = playing.caller.session;
    let other = RevokedSessionBody { session_id: playing.gateway.sign_in().session.session_id, expires_at };
    playing.gateway.services.revoked.lock().unwrap().push(other);
    // The news came, and were no news of this one.
    let echoed =
        async || playing.gateway.get("/api/v1/functions", &playing.caller.token).await.status() == 200;
    eventually(echoed).await;
    client.write_all(&masked(1, b"x")).await.unwrap();

    playing.gateway.services.revoked.lock().unwrap().push(RevokedSessionBody { session_id, expires_at });
    assert_eq!(read_frame(&mut client).await, Some((0x88, 1008_u16.to_be_bytes().to_vec())));
    assert_eq!(read_frame(&mut client).await, None, "the connection ends");
}

#[tokio::test]
async fn sockets_are_closed_with_1012_when_the_gateway_stops_and_between_two_frames() {
    let playing = Playing::start(&[]).await;
    let (mut client, mut service, _) = playing.open().await;
    service.write_all(&[0x81, 4, b'a', b'b']).await.unwrap();
    let mut begun = [0; 4];
    client.read_exact(&mut begun).await.unwrap();
    playing.gateway.stop();
    service.write_all(b"cd").await.unwrap();
    let mut rest = [0; 2];
    client.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"cd");
    assert_eq!(read_frame(&mut client).await, Some((0x88, 1012_u16.to_be_bytes().to_vec())));
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_one_that_does_not_answer_is_closed() {
    let playing = Playing::start(&[("GATEWAY_WEBSOCKET_PING_SECONDS", "1")]).await;
    let (mut client, mut service, _) = playing.open().await;
    for _ in 0..2 {
        assert_eq!(read_frame(&mut client).await, Some((0x89, Vec::new())));
        client.write_all(&masked(0xa, b"")).await.unwrap();
    }
    loop {
        match read_frame(&mut client).await {
            Some((0x89, _)) => {}
            closed => break assert_eq!(closed, Some((0x88, 1001_u16.to_be_bytes().to_vec()))),
        }
    }
    let mut seen = Vec::new();
    let _ = service.read_to_end(&mut seen).await;
    assert_eq!(seen, [masked(0xa, b""), masked(0xa, b"")].concat(), "what a client says passes");
}

#[tokio::test]
async fn open_sockets_are_counted() {
    let playing = Playing::start(&[]).await;
    let count = async || {
        let text = playing.gateway.metrics().await;
        let line = text.lines().find(|line| line.starts_with("gateway_websockets{")).unwrap().to_owned();
        line.rsplit_once(' ').unwrap().1.to_owned()
    };
    assert_eq!(count().await, "0");
    let (client, _service, _) = playing.open().await;
    assert_eq!(count().await, "1");
    drop(client);
    eventually(async || count().await == "0").await;
}
