use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::harness::{eventually, tar_gz_of};

/// A handler that uses the package `tiny`, and the manifest that asks for it.
pub(crate) const HANDLER: (&str, &str) =
    ("index.mjs", "import {value} from 'tiny';\nexport default () => value;");
pub(crate) const NEEDS_TINY: &str = r#"{"type": "module", "dependencies": {"tiny": "^1.0.0"}}"#;

/// A registry of npm with one package, `tiny`, on the loopback interface of this host. It answers while it is open.
pub(crate) struct Registry {
    /// Its host and port.
    pub(crate) address: String,
    counts: Arc<Counts>,
    is_open: watch::Sender<bool>,
}

#[derive(Default)]
struct Counts {
    asked: AtomicUsize,
    fetched: AtomicUsize,
}

impl Registry {
    /// Starts one that is open.
    pub(crate) async fn start() -> Self {
        let registry = Self::start_closed().await;
        registry.open();
        registry
    }

    /// Starts one that lets whoever asks wait until it is opened.
    pub(crate) async fn start_closed() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self::listen(listener, address)
    }

    /// Starts one at a host that nobody here knows, and what answers for it as a proxy does; returns the proxy's address.
    pub(crate) async fn start_behind_proxy() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let registry = Self::listen(listener, "registry.example:80".to_owned());
        registry.open();
        (registry, proxy)
    }

    fn listen(listener: TcpListener, address: String) -> Self {
        let counts = Arc::new(Counts::default());
        let is_open = watch::Sender::new(false);
        let (description, package) = (description(&address), package());
        let (counted, opened) = (Arc::clone(&counts), is_open.subscribe());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answers = (description.clone(), package.clone());
                tokio::spawn(answer(stream, answers, Arc::clone(&counted), opened.clone()));
            }
        });
        Self { address, counts, is_open }
    }

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Waits until somebody has asked it for something.
    pub(crate) async fn asked(&self) {
        eventually("the registry is asked", async || self.counts.asked.load(Ordering::Relaxed) > 0).await;
    }

    /// Returns how many times the package was fetched.
    pub(crate) fn fetched(&self) -> usize {
        self.counts.fetched.load(Ordering::Relaxed)
    }

    /// Returns what leads npm to it.
    pub(crate) fn npmrc(&self) -> String {
        format!("registry=http://{}/\n", self.address)
    }

    /// Returns the files of a function that needs the package.
    pub(crate) fn function(&self) -> Vec<(&'static str, String)> {
        let (handler, code) = HANDLER;
        vec![(handler, code.to_owned()), ("package.json", NEEDS_TINY.to_owned()), (".npmrc", self.npmrc())]
    }
}

async fn answer(
    mut stream: TcpStream,
    (description, package): (Vec<u8>, Vec<u8>),
    counts: Arc<Counts>,
    mut is_open: watch::Receiver<bool>,
) {
    let mut request = vec![0; 16 * 1024];
    let length = stream.read(&mut request).await.unwrap();
    counts.asked.fetch_add(1, Ordering::Relaxed);
    if is_open.wait_for(|is_open| *is_open).await.is_err() {
        return;
    }
    // A proxy is asked for a whole address.
    let line = request[..length].split(|byte| *byte == b'\r').next().unwrap();
    let body = if str::from_utf8(line).unwrap().contains("/tiny/-/") {
        counts.fetched.fetch_add(1, Ordering::Relaxed);
        package
    } else {
        description
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
}

fn package() -> Vec<u8> {
    tar_gz_of(&[
        (
            "package/package.json",
            r#"{"name": "tiny", "version": "1.0.0", "type": "module", "main": "index.js"}"#,
        ),
        ("package/index.js", "export const value = 7;"),
    ])
}

fn description(address: &str) -> Vec<u8> {
    let description = json!({
        "name": "tiny",
        "dist-tags": {"latest": "1.0.0"},
        "versions": {"1.0.0": {
            "name": "tiny", "version": "1.0.0",
            "dist": {"tarball": format!("http://{address}/tiny/-/tiny-1.0.0.tgz")},
        }},
    });
    description.to_string().into_bytes()
}
