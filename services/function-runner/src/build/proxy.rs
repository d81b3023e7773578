//! The only way out of a container that installs dependencies: an HTTP proxy to package registries, on a Unix socket.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::LogTail;
use super::parent_proxy::{ParentProxies, ParentProxy, bare};
use super::registries::{Refusal, Registries};

/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
const CHUNK_BYTES: usize = 32 * 1024;
/// The most refusals that the log says.
const MAX_SAID: usize = 100;

/// What the installation of one deployment's dependencies may reach and transfer.
pub(super) struct Proxy {
    registries: Registries,
    parents: ParentProxies,
    log: LogTail,
    bytes_left: AtomicU64,
    exhaustion: Once,
    refused: OnceLock<String>,
    refusals: AtomicUsize,
    connections: Arc<Semaphore>,
}

/// What a client asks for.
struct Asked {
    target: Authority,
    /// What to send on in plain HTTP; `None` for a tunnel (`CONNECT`).
    request: Option<PlainRequest>,
}

struct PlainRequest {
    method: String,
    uri: Uri,
    /// Those headers that are sent on, each with its end of line.
    headers: String,
}

/// A registry, or a proxy that leads to it.
struct Reached {
    stream: TcpStream,
    /// What it is sent first.
    request: Vec<u8>,
    /// What the client is sent first.
    answer: Vec<u8>,
}

impl Proxy {
    /// Makes a proxy that lets through so many bytes, and so many connections at a time; it says in `log` what it
    /// refuses.
    pub(super) fn new(
        (registries, parents): (Registries, ParentProxies),
        bytes: u64,
        connections: usize,
        log: LogTail,
    ) -> Self {
        Self {
            registries,
            parents,
            log,
            bytes_left: AtomicU64::new(bytes),
            exhaustion: Once::new(),
            refused: OnceLock::new(),
            refusals: AtomicUsize::new(0),
            connections: Arc::new(Semaphore::new(connections)),
        }
    }

    /// Returns what it said when it refused something first.
    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.get().map(String::as_str)
    }

    /// Serves until it is dropped; its connections end with it.
    pub(super) async fn serve(self: Arc<Self>, listener: UnixListener) {
        let mut conversations = JoinSet::new();
        while let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await {
            let Ok((client, _)) = listener.accept().await else { return };
            let proxy = Arc::clone(&self);
            conversations.spawn(async move {
                let _permit = permit;
                if let Err(error) = proxy.converse(client).await {
                    tracing::debug!(%error, "a connection of a build ended");
                }
            });
            while conversations.try_join_next().is_some() {}
        }
    }

    async fn converse(&self, mut client: UnixStream) -> io::Result<()> {
        let head = tokio::time::timeout(HEAD_TIMEOUT, read_head(&mut client));
        let (head, rest) = head.await.map_err(|_| ErrorKind::TimedOut)??;
        let Some(asked) = read_request(&head) else {
            return answer(&mut client, "400 Bad Request", "this proxy takes CONNECT and http:// addresses")
                .await;
        };
        let reached = match self.reach(&asked).await {
            Ok(reached) => reached,
            Err(refusal) => {
                let status = match refusal {
                    Refusal::NotAllowed(_) | Refusal::NoneAllowed(_) => "403 Forbidden",
                    Refusal::Unreachable(..) => "502 Bad Gateway",
                };
                let text = refusal.to_string();
                self.say(&text);
                return answer(&mut client, status, &text).await;
            }
        };
        self.join(client, reached, &rest).await
    }

    /// Connects to a registry, whose name is resolved here, or by a proxy of this host's, and not by the build.
    async fn reach(&self, asked: &Asked) -> Result<Reached, Refusal> {
        let (host, port) = self.registries.check(&asked.target)?;
        let connecting = async {
            match &asked.request {
                None => tunnel(self.parents.of_tunnels(&host, port), &host, port).await,
                Some(request) => request.send(self.parents.of_requests(&host, port), &host, port).await,
            }
        };
        let reached = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let reached = reached.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        reached.map_err(|cause| Refusal::Unreachable(asked.target.to_string(), cause))
    }

    fn say(&self, refusal: &str) {
        self.refused.get_or_init(|| refusal.to_owned());
        if self.refusals.fetch_add(1, Ordering::Relaxed) < MAX_SAID {
            self.log.push(refusal);
        }
    }

    async fn join(&self, mut client: UnixStream, reached: Reached, rest: &[u8]) -> io::Result<()> {
        let Reached { stream: mut registry, request, answer } = reached;
        client.write_all(&answer).await?;
        registry.write_all(&request).await?;
        self.account(rest.len() as u64)?;
        registry.write_all(rest).await?;
        let (client_reads, client_writes) = client.split();
        let (registry_reads, registry_writes) = registry.split();
        tokio::try_join!(self.copy(client_reads, registry_writes), self.copy(registry_reads, client_writes))?;
        Ok(())
    }

    async fn copy(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                return to.shutdown().await;
            }
            self.account(length as u64)?;
            to.write_all(buffer.get(..length).unwrap_or_default()).await?;
        }
    }

    fn account(&self, bytes: u64) -> io::Result<()> {
        let take = |left: u64| left.checked_sub(bytes);
        let taken = self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| {
            let say = || self.log.push("the build has transferred more than BUILD_TRANSFER_MB allows");
            self.exhaustion.call_once(say);
            ErrorKind::QuotaExceeded.into()
        })
    }
}

async fn tunnel(parent: Option<&ParentProxy>, host: &str, port: u16) -> io::Result<Reached> {
    let (stream, came) = match parent {
        Some(parent) => parent.tunnel(host, port).await?,
        None => (connect(host, port).await?, Vec::new()),
    };
    Ok(Reached { stream, request: Vec::new(), answer: [ESTABLISHED, &came].concat() })
}

/// Tries each of a host's addresses.
async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    TcpStream::connect((bare(host), port)).await
}

impl PlainRequest {
    async fn send(&self, parent: Option<&ParentProxy>, host: &str, port: u16) -> io::Result<Reached> {
        let stream = match parent {
            Some(parent) => parent.connect().await?,
            None => connect(host, port).await?,
        };
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let (target, authorization) = match parent {
            Some(parent) => (format!("http://{host}:{port}{path}"), parent.authorization().to_string()),
            None => (path.to_owned(), String::new()),
        };
        let named = self.uri.authority().map(Authority::as_str).unwrap_or_default();
        // One request a connection: the next one may be meant for another host.
        let request = format!(
            "{} {target} HTTP/1.1\r\nhost: {named}\r\nconnection: close\r\n{authorization}{}\r\n",
            self.method, self.headers
        );
        Ok(Reached { stream, request: request.into_bytes(), answer: Vec::new() })
    }
}

/// Reads up to the end of a head; returns it, and what came behind it.
pub(super) async fn read_head(client: &mut (impl AsyncRead + Unpin)) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut received = Vec::new();
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = received.split_off(end + 4);
            return Ok((received, rest));
        }
        if received.len() > MAX_HEAD_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "the head of a request is too large"));
        }
        if client.read_buf(&mut received).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

fn read_request(head: &[u8]) -> Option<Asked> {
    let text = str::from_utf8(head).ok()?;
    let (line, headers) = text.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with("HTTP/1.") {
        return None;
    }
    if method == "CONNECT" {
        return Some(Asked { target: target.parse().ok()?, request: None });
    }
    let uri: Uri = target.parse().ok()?;
    if uri.scheme_str() != Some("http") {
        return None;
    }
    let named = uri.authority()?;
    let target = format!("{}:{}", named.host(), named.port_u16().unwrap_or(80)).parse().ok()?;
    let sent_on = headers.split("\r\n").filter(|header| is_sent_on(header));
    let headers = sent_on.flat_map(|header| [header, "\r\n"]).collect();
    Some(Asked { target, request: Some(PlainRequest { method: method.to_owned(), uri, headers }) })
}

fn is_sent_on(header: &str) -> bool {
    let name = header.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
    !header.is_empty()
        && !name.starts_with("proxy-")
        && !["host", "connection", "keep-alive", "upgrade"].contains(&name.as_str())
}

async fn answer(client: &mut UnixStream, status: &str, text: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    client.write_all(&[head.as_bytes(), text.as_bytes()].concat()).await?;
    client.shutdown().await
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::net::TcpListener;

    use super::*;

    /// A proxy to one registry, which answers each connection with what it was sent, and closes.
    struct Tried {
        directory: TempDir,
        registry: String,
        log: LogTail,
        proxy: Arc<Proxy>,
        _tasks: JoinSet<()>,
    }

    async fn proxy_of(bytes: u64) -> Tried {
        proxy_with(bytes, ParentProxies::default()).await
    }

    async fn proxy_with(bytes: u64, parents: ParentProxies) -> Tried {
        let (directory, log) = (tempfile::tempdir().unwrap(), LogTail::default());
        let registry = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = registry.local_addr().unwrap().to_string();
        let listener = UnixListener::bind(directory.path().join("proxy.sock")).unwrap();
        let registries = format!("{address}, registry.example, registry.example:80").parse().unwrap();
        let proxy = Arc::new(Proxy::new((registries, parents), bytes, 4, log.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&proxy).serve(listener));
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = registry.accept().await {
                let mut buffer = vec![0; CHUNK_BYTES];
                let length = stream.read(&mut buffer).await.unwrap();
                stream.write_all(&buffer[..length]).await.unwrap();
            }
        });
        Tried { directory, registry: address, log, proxy, _tasks: tasks }
    }

    impl Tried {
        async fn ask(&self, request: &str) -> String {
            let mut stream = UnixStream::connect(self.directory.path().join("proxy.sock")).await.unwrap();
            let mut answer = Vec::new();
            // Either fails where the proxy hangs up in the middle.
            let _ = stream.write_all(request.as_bytes()).await;
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8(answer).unwrap()
        }
    }

    #[tokio::test]
    async fn a_tunnel_to_an_allowed_registry_carries_what_is_sent() {
        let tried = proxy_of(1_000).await;
        let answer = tried.ask(&format!("CONNECT {} HTTP/1.1\r\n\r\nhello", tried.registry)).await;
        assert_eq!(answer, "HTTP/1.1 200 Connection established\r\n\r\nhello");
    }

    #[tokio::test]
    async fn a_plain_request_is_sent_on_without_what_was_meant_for_the_proxy() {
        let tried = proxy_of(1_000).await;
        let registry = &tried.registry;
        let answer = tried
            .ask(&format!(
                "GET http://{registry}/simple/?a=b HTTP/1.1\r\nHost: elsewhere\r\nAccept: text/html\r\n\
                 Proxy-Connection: keep-alive\r\nConnection: keep-alive\r\n\r\n"
            ))
            .await;
        let expected = format!(
            "GET /simple/?a=b HTTP/1.1\r\nhost: {registry}\r\nconnection: close\r\nAccept: text/html\r\n\r\n"
        );
        assert_eq!(answer, expected);
    }

    #[tokio::test]
    async fn what_is_not_allowed_is_refused_and_said_in_the_log() {
        let tried = proxy_of(1_000).await;
        let refusal =
            "other.example:443 is not an allowed registry; ask the operator to add it to BUILD_REGISTRIES";
        let answer = tried.ask("CONNECT other.example:443 HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.ends_with(refusal), "{answer}");
        assert_eq!(tried.log.text(), format!("{refusal}\n"));
        assert_eq!(tried.proxy.refused(), Some(refusal));
        let answer = tried.ask("GET http://169.254.169.254/latest/meta-data HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
        for nonsense in
            ["GET / HTTP/1.1\r\n\r\n", "GET ftp://a/b HTTP/1.1\r\n\r\n", "CONNECT\r\n\r\n", "\r\n\r\n"]
        {
            assert!(tried.ask(nonsense).await.starts_with("HTTP/1.1 400 "), "{nonsense:?}");
        }
        assert_eq!(tried.ask(&format!("GET /{}", "x".repeat(2 * MAX_HEAD_BYTES))).await, "");
        assert_eq!(tried.proxy.refused(), Some(refusal), "the first");
    }

    #[tokio::test]
    async fn a_build_that_asks_without_end_does_not_fill_its_log() {
        let tried = proxy_of(1_000).await;
        for _ in 0..2 * MAX_SAID {
            tried.ask("CONNECT other.example:443 HTTP/1.1\r\n\r\n").await;
        }
        assert_eq!(tried.log.text().lines().count(), MAX_SAID);
    }

    #[tokio::test]
    async fn the_bytes_of_a_build_are_bounded() {
        let tried = proxy_of(12).await;
        let connect = format!("CONNECT {} HTTP/1.1\r\n\r\n", tried.registry);
        assert!(tried.ask(&format!("{connect}12345")).await.ends_with("12345"));
        for _ in 0..2 {
            assert!(!tried.ask(&format!("{connect}12345")).await.ends_with("12345"));
        }
        assert_eq!(tried.log.text(), "the build has transferred more than BUILD_TRANSFER_MB allows\n");
    }

    /// A proxy of this host's, which answers with `answer` and then with what it was sent, once, and closes.
    async fn parent(answer: &'static str) -> ParentProxies {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (head, _) = read_head(&mut stream).await.unwrap();
                stream.write_all(&[answer.as_bytes(), &head].concat()).await.unwrap();
                if head.starts_with(b"CONNECT ") {
                    let mut buffer = vec![0; CHUNK_BYTES];
                    let length = stream.read(&mut buffer).await.unwrap();
                    stream.write_all(&buffer[..length]).await.unwrap();
                }
            }
        });
        let url = format!("http://ada:secret@{address}");
        let settings = [("HTTPS_PROXY", url.as_str()), ("HTTP_PROXY", &url), ("NO_PROXY", "127.0.0.1")];
        let settings = slipway_config::Settings::from_pairs(settings);
        ParentProxies::read(&mut slipway_config::Reader::new(&settings))
    }

    #[tokio::test]
    async fn where_a_proxy_leads_to_registries_it_is_asked_and_told_who_asks() {
        let tried = proxy_with(1_000, parent("HTTP/1.1 200 OK\r\n\r\n").await).await;
        let known = "proxy-authorization: Basic YWRhOnNlY3JldA==\r\n";
        let answer = tried.ask("CONNECT registry.example:443 HTTP/1.1\r\n\r\nhello").await;
        let expected = format!(
            "HTTP/1.1 200 Connection established\r\n\r\n\
             CONNECT registry.example:443 HTTP/1.1\r\nhost: registry.example:443\r\n{known}\r\nhello"
        );
        assert_eq!(answer, expected);

        let mine = "Proxy-Authorization: Basic bWluZQ==\r\n";
        let answer = tried.ask(&format!("GET http://registry.example/a?b HTTP/1.1\r\n{mine}\r\n")).await;
        let expected = format!(
            "HTTP/1.1 200 OK\r\n\r\nGET http://registry.example:80/a?b HTTP/1.1\r\n\
             host: registry.example\r\nconnection: close\r\n{known}\r\n"
        );
        assert_eq!(answer, expected);

        let answer = tried.ask(&format!("CONNECT {} HTTP/1.1\r\n\r\nhello", tried.registry)).await;
        assert_eq!(answer, "HTTP/1.1 200 Connection established\r\n\r\nhello", "NO_PROXY");
        let answer = tried.ask("CONNECT other.example:443 HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_is_named_in_the_log_with_its_answer() {
        let tried = proxy_with(1_000, parent("HTTP/1.1 407 Who are you\r\n\r\n").await).await;
        let answer = tried.ask("CONNECT registry.example:443 HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
        let told = "registry.example:443 cannot be reached: the proxy of this host answers 407\n";
        assert_eq!(tried.log.text(), told);
    }
}
