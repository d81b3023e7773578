//! One instance as the function runner sees it: a socket, the bridge that dials it, and calls over HTTP.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use slipway_bridge::protocol::{
    CONFIGURE_PATH, End, Fault, Frame, FrameDecoder, Head, INVOKE_PATH, InvokeHead, LogLine, Outcome,
    READY_PATH,
};
use tempfile::TempDir;
use tokio::net::UnixListener;

/// Far more than anything here takes on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Language {
    Python,
    Node,
    /// The binary runtime, whose program lies beside these tests.
    Binary,
}

impl Language {
    /// Those whose handlers are written in the language itself.
    pub(crate) const ALL: [Self; 2] = [Self::Python, Self::Node];

    fn program(self) -> &'static str {
        match self {
            // The tests' bootstrap is a Python program.
            Self::Python | Self::Binary => "python3",
            Self::Node => "node",
        }
    }

    /// What the bridge is given.
    fn worker(self) -> [PathBuf; 2] {
        let runtimes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/runtimes");
        match self {
            Self::Python => [self.program().into(), runtimes.join("python/worker.py")],
            Self::Node => [self.program().into(), runtimes.join("node/worker.mjs")],
            Self::Binary => ["--stdin".into(), env!("CARGO_BIN_EXE_slipway-lambda").into()],
        }
    }

    fn entry(self) -> &'static str {
        match self {
            Self::Python => "main.py",
            Self::Node => "index.mjs",
            Self::Binary => "bootstrap",
        }
    }
}

pub(crate) struct Instance {
    bridge: Child,
    requests: SendRequest<Full<Bytes>>,
    listener: UnixListener,
    application: TempDir,
    _socket: TempDir,
}

/// A further connection of an instance, for another call at a time.
pub(crate) struct Caller {
    requests: SendRequest<Full<Bytes>>,
}

impl Caller {
    /// Calls the handler with a JSON body.
    pub(crate) async fn invoke(&mut self, body: Value) -> Answer {
        self.begin(body).await.rest().await
    }

    /// Calls the handler, and leaves its frames to be read.
    pub(crate) async fn begin(&mut self, body: Value) -> Stream {
        let request = [&head().encode().unwrap()[..], body.to_string().as_bytes()].concat();
        let response = send(&mut self.requests, Method::POST, INVOKE_PATH, request).await;
        assert_eq!(response.status(), StatusCode::OK);
        Stream { body: response.into_body(), decoder: FrameDecoder::new() }
    }
}

impl Instance {
    /// Starts an instance whose application is one file, configured and with its handler loaded.
    pub(crate) async fn of(language: Language, code: &str) -> Self {
        let mut instance = Self::start(language, &[(language.entry(), code)]).await;
        instance.configure(json!({})).await;
        let loaded = instance.ready().await;
        assert!(loaded.end.outcome == Outcome::Succeeded, "{loaded:?}");
        instance
    }

    pub(crate) async fn python(code: &str) -> Self {
        Self::of(Language::Python, code).await
    }

    pub(crate) async fn node(code: &str) -> Self {
        Self::of(Language::Node, code).await
    }

    /// Starts an instance of an application, and tells it nothing yet.
    pub(crate) async fn start(language: Language, files: &[(&str, &str)]) -> Self {
        let (application, socket) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, content) in files {
            let path = application.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let path = socket.path().join("runner.sock");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(
            Command::new(language.program()).arg("--version").stdout(Stdio::null()).status().is_ok(),
            "install {} (Debian: apt-get install python3 nodejs): the real workers are tested",
            language.program()
        );
        let bridge = Command::new(env!("CARGO_BIN_EXE_slipway-bridge"))
            .arg(format!("--socket={}", path.display()))
            .args(language.worker())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(application.path())
            .spawn()
            .unwrap();
        let requests = accept(&listener).await;
        Self { bridge, requests, listener, application, _socket: socket }
    }

    /// Starts an instance that carries out several calls at a time, with its handler loaded; returns what makes them.
    pub(crate) async fn together(language: Language, code: &str, calls: usize) -> (Self, Vec<Caller>) {
        let mut instance = Self::start(language, &[(language.entry(), code)]).await;
        let configuration = json!({
            "function_name": "hello", "function_version": 3, "concurrency": calls + 1,
        });
        let Self { requests, listener, .. } = &mut instance;
        let configured = send(requests, Method::PUT, CONFIGURE_PATH, configuration.to_string());
        let dialled = async {
            let mut callers = Vec::new();
            for _ in 0..calls {
                callers.push(Caller { requests: accept(listener).await });
            }
            callers
        };
        let (configured, callers) = tokio::join!(configured, dialled);
        assert_eq!(configured.status(), StatusCode::NO_CONTENT);
        let loaded = instance.ready().await;
        assert!(loaded.end.outcome == Outcome::Succeeded, "{loaded:?}");
        (instance, callers)
    }

    /// Makes a file that the application waits for.
    pub(crate) fn make_file(&self, name: &str) {
        fs::write(self.application.path().join(name), "").unwrap();
    }

    /// Waits for a file that the application makes.
    pub(crate) async fn file_made(&self, name: &str) {
        until(|| self.application.path().join(name).exists()).await;
    }

    /// Configures the instance; what is given is added to the defaults.
    pub(crate) async fn configure(&mut self, given: Value) -> StatusCode {
        let mut configuration =
            json!({ "function_name": "hello", "function_version": 3, "env": { "GREETING": "hé" } });
        configuration.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        self.status_of(Method::PUT, CONFIGURE_PATH, configuration.to_string()).await
    }

    /// Returns the status of a request that leads to no frames.
    pub(crate) async fn status_of(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> StatusCode {
        let response = self.send(method, path, body).await;
        let status = response.status();
        response.into_body().collect().await.unwrap();
        status
    }

    pub(crate) async fn ready(&mut self) -> Answer {
        self.begin(Method::GET, READY_PATH, Bytes::new()).await.rest().await
    }

    /// Calls the handler with a JSON body.
    pub(crate) async fn invoke(&mut self, body: Value) -> Answer {
        self.invoke_with(&head(), &body.to_string().into_bytes()).await
    }

    pub(crate) async fn invoke_with(&mut self, head: &InvokeHead, body: &[u8]) -> Answer {
        let request = [&head.encode().unwrap()[..], body].concat();
        self.begin(Method::POST, INVOKE_PATH, request).await.rest().await
    }

    /// Calls the handler, and leaves its frames to be read one by one.
    pub(crate) async fn invoke_slowly(&mut self) -> Stream {
        self.begin(Method::POST, INVOKE_PATH, head().encode().unwrap()).await
    }

    async fn begin(&mut self, method: Method, path: &str, body: impl Into<Bytes>) -> Stream {
        let response = self.send(method, path, body).await;
        assert_eq!(response.status(), StatusCode::OK);
        Stream { body: response.into_body(), decoder: FrameDecoder::new() }
    }

    async fn send(&mut self, method: Method, path: &str, body: impl Into<Bytes>) -> Response<Incoming> {
        send(&mut self.requests, method, path, body).await
    }

    /// Closes the connection, as a runner does that ends an instance or dies.
    pub(crate) fn hang_up(self) -> Ended {
        Ended { bridge: self.bridge }
    }

    /// Leaves the connection open.
    pub(crate) async fn status_when_it_ends(&mut self) -> ExitStatus {
        wait(&mut self.bridge).await
    }

    /// Ends the bridge, which has told that its worker is gone, as a runner does that has asked why.
    pub(crate) async fn status_when_terminated(&mut self) -> ExitStatus {
        let process = Pid::from_child(&self.bridge);
        rustix::process::kill_process(process, Signal::TERM).unwrap();
        self.status_when_it_ends().await
    }

    pub(crate) fn bridge_process(&self) -> u32 {
        self.bridge.id()
    }
}

async fn accept(listener: &UnixListener) -> SendRequest<Full<Bytes>> {
    let (stream, _) = tokio::time::timeout(BOUND, listener.accept()).await.unwrap().unwrap();
    let (requests, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    requests
}

async fn send(
    requests: &mut SendRequest<Full<Bytes>>,
    method: Method,
    path: &str,
    body: impl Into<Bytes>,
) -> Response<Incoming> {
    let request = Request::builder().method(method).uri(path).body(Full::new(body.into())).unwrap();
    requests.ready().await.unwrap();
    tokio::time::timeout(BOUND, requests.send_request(request)).await.unwrap().unwrap()
}

/// An instance whose connection is closed.
pub(crate) struct Ended {
    bridge: Child,
}

impl Ended {
    pub(crate) async fn status(mut self) -> ExitStatus {
        wait(&mut self.bridge).await
    }
}

async fn wait(bridge: &mut Child) -> ExitStatus {
    until(|| bridge.try_wait().unwrap().is_some()).await;
    bridge.wait().unwrap()
}

/// Waits until a process is gone; one that is not reaped yet is.
pub(crate) async fn gone(process: &str) {
    until(|| match fs::read_to_string(format!("/proc/{process}/stat")) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => true,
    })
    .await;
}

async fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < BOUND, "nothing happens");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The frames of one call as they come.
pub(crate) struct Stream {
    body: Incoming,
    decoder: FrameDecoder,
}

impl Stream {
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let chunk = tokio::time::timeout(BOUND, self.body.frame()).await.unwrap()?;
            self.decoder.push(&chunk.unwrap().into_data().unwrap());
        }
    }

    pub(crate) async fn rest(mut self) -> Answer {
        let (mut logs, mut head, mut body) = (Vec::new(), None, Vec::new());
        loop {
            match self.next().await {
                Some(Frame::Log(line)) => logs.push(line),
                Some(Frame::Head(given)) => head = Some(given),
                Some(Frame::Data(data)) => body.extend_from_slice(&data),
                Some(Frame::End(end)) => {
                    assert!(self.next().await.is_none());
                    return Answer { logs, head, body, end };
                }
                None => panic!("the stream stopped before its end: {logs:?}"),
            }
        }
    }
}

/// All that a call left.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) logs: Vec<LogLine>,
    pub(crate) head: Option<Head>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

impl Answer {
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.logs.iter().map(|line| line.text.as_str()).collect()
    }

    pub(crate) fn fault(&self) -> &Fault {
        match &self.end.outcome {
            Outcome::Failed { error } => error,
            Outcome::Succeeded => panic!("the call succeeded: {self:?}"),
        }
    }

    /// The kind and the message of the failure.
    pub(crate) fn failure(&self) -> (&str, &str) {
        (&self.fault().kind, &self.fault().message)
    }

    pub(crate) fn head(&self) -> &Head {
        assert!(self.end.outcome == Outcome::Succeeded, "{self:?}");
        self.head.as_ref().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        self.head();
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap()
    }
}

pub(crate) fn head() -> InvokeHead {
    InvokeHead {
        execution_id: "0190f5c8-0000-7000-8000-000000000001".into(),
        deadline_ms: 30_000,
        traceparent: None,
        method: "POST".into(),
        path: "/".into(),
        query: Vec::new(),
        headers: vec![("content-type".into(), "application/json".into())],
    }
}
