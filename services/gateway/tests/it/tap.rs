//! Stands between the gateway and the services behind, and keeps every byte that the gateway sent them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};

use crate::raw;

/// What was sent over each connection.
type Sent = Arc<Mutex<Vec<Vec<u8>>>>;

/// A place on the way to a service.
pub(crate) struct Tap {
    pub(crate) url: String,
    listener: TcpListener,
}

/// What came by a tap.
#[derive(Clone, Default)]
pub(crate) struct Tapped(Sent);

/// A request as its bytes were, read as RFC 9112 says and no other way.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Tap {
    pub(crate) async fn listen() -> Self {
        let (listener, url) = raw::listen().await;
        Self { url, listener }
    }

    /// Passes on what comes, from now on.
    pub(crate) fn forward_to(self, service: SocketAddr) -> Tapped {
        let tapped = Tapped::default();
        let sent = Arc::clone(&tapped.0);
        tokio::spawn(async move {
            while let Ok((client, _)) = self.listener.accept().await {
                tokio::spawn(forward(client, service, Arc::clone(&sent)));
            }
        });
        tapped
    }
}

async fn forward(client: TcpStream, service: SocketAddr, sent: Sent) {
    let index = {
        let mut sent = sent.lock().unwrap();
        sent.push(Vec::new());
        sent.len() - 1
    };
    let (from_client, mut to_client) = client.into_split();
    let (mut from_service, mut to_service) = TcpStream::connect(service).await.unwrap().into_split();
    let answers = tokio::spawn(async move {
        // Ends with the connection on either side.
        let _ = tokio::io::copy(&mut from_service, &mut to_client).await;
    });
    keep(from_client, |bytes| sent.lock().unwrap()[index].extend_from_slice(bytes), &mut to_service).await;
    // As the client does it: whoever breaks off reads no answer.
    answers.abort();
}

async fn keep(
    mut client: OwnedReadHalf,
    mut record: impl FnMut(&[u8]),
    service: &mut (impl AsyncWrite + Unpin),
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        record(&buffer[..length]);
        if service.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

impl Tapped {
    /// Returns all bytes of each connection.
    pub(crate) fn bytes(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().clone()
    }

    /// Returns the requests, in the order of their connections. One that was broken off has the body that came.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        for bytes in self.bytes() {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (request, after) = read(rest);
                seen.push(request);
                rest = after;
            }
        }
        seen
    }
}

impl Seen {
    /// Returns the values that a header has.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }
}

fn read(bytes: &[u8]) -> (Seen, &[u8]) {
    let end = find(bytes, b"\r\n\r\n").unwrap();
    let (head, rest) = (&bytes[..end], &bytes[end + 4..]);
    let head = str::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let request_line: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert!(request_line.len() == 3 && request_line[2] == "HTTP/1.1", "{request_line:?}");
    let headers: Vec<(String, String)> = lines
        .map(|line| {
            assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        })
        .collect();
    let mut seen = Seen { target: request_line[1].to_owned(), headers, body: Vec::new() };
    let rest = match (seen.values("content-length")[..].first(), seen.values("transfer-encoding")[..].first())
    {
        (None, None) => rest,
        (Some(length), None) => {
            let (body, rest) = rest.split_at(rest.len().min(length.parse().unwrap()));
            seen.body = body.to_vec();
            rest
        }
        (None, Some(&"chunked")) => read_chunks(rest, &mut seen.body),
        framing => unreachable!("the length is said in two ways: {framing:?}"),
    };
    for name in ["content-length", "transfer-encoding", "host"] {
        assert!(seen.values(name).len() <= 1, "{name}: {seen:?}");
    }
    (seen, rest)
}

fn read_chunks<'a>(mut rest: &'a [u8], body: &mut Vec<u8>) -> &'a [u8] {
    loop {
        let Some(end) = find(rest, b"\r\n") else { return &[] };
        let size = usize::from_str_radix(str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        rest = &rest[end + 2..];
        let taken = size.min(rest.len());
        body.extend_from_slice(&rest[..taken]);
        rest = &rest[taken..];
        if rest.len() < 2 {
            return &[];
        }
        assert_eq!(&rest[..2], b"\r\n", "a chunk ends with its line");
        rest = &rest[2..];
        if size == 0 {
            return rest;
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
