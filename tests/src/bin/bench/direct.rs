use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use slipway_bridge::protocol::{
    CONFIGURE_PATH, Frame, FrameDecoder, INVOKE_PATH, InvokeHead, Outcome, READY_PATH,
};
use slipway_runtime::{
    ContainerId, ContainerRuntime as _, InstanceLimits, InstanceSpec, Labels, PodmanConfig, PodmanRuntime,
};
use slipway_testkit::required_setting;
use tempfile::TempDir;
use tokio::net::UnixListener;

use crate::wire::Wire;

const MIB: u64 = 1024 * 1024;

/// An instance with the default limits, which nothing of the platform stands before.
pub(crate) struct DirectInstance {
    runtime: PodmanRuntime,
    container: ContainerId,
    bridge: Bridge,
    _home: TempDir,
}

/// The bridge of an instance, over the connection that it dialled.
pub(crate) struct Bridge {
    wire: Wire,
    call: Bytes,
}

impl DirectInstance {
    /// Starts an instance of `image`, labelled as the runner of `state` labels its own: it goes with the platform.
    pub(crate) async fn start(image: &str, state: &Path) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let (home, listener) = listen();
        let runtime = PodmanRuntime::new(PodmanConfig::new(required_setting("SLIPWAY_TEST_PODMAN_SOCKET")));
        let runner = fs::read_to_string(state.join("runner-id")).expect("the runner's id");
        let spec = InstanceSpec {
            name: format!("slipway-bench-{}-{number}", std::process::id()),
            image: image.to_owned(),
            command: Vec::new(),
            labels: Labels::from([("dev.slipway.runner".to_owned(), format!("{}-bench", runner.trim()))]),
            socket_directory: home.path().to_owned(),
            code_directory: None,
            limits: InstanceLimits {
                memory: 128 * MIB,
                cpu_millis: 500,
                processes: 64,
                open_files: 1024,
                tmp: 64 * MIB,
            },
            network: None,
        };
        let container = runtime.create_instance(&spec).await.expect("a container");
        runtime.start(&container).await.expect("its start");
        let bridge = Bridge::accept(&listener).await;
        Self { runtime, container, bridge, _home: home }
    }

    /// Calls the handler once; returns the time until the end of its answer.
    pub(crate) async fn call(&mut self) -> Duration {
        self.bridge.call().await
    }

    pub(crate) async fn remove(self) {
        self.runtime.kill_and_remove(&self.container).await.expect("the container is removed");
    }
}

/// Makes a directory as an instance has one, and listens in it.
pub(crate) fn listen() -> (TempDir, UnixListener) {
    let home = tempfile::tempdir().expect("a directory");
    fs::set_permissions(home.path(), Permissions::from_mode(0o711)).expect("its mode");
    let socket = home.path().join("runner.sock");
    let listener = UnixListener::bind(&socket).expect("the socket");
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).expect("its mode");
    (home, listener)
}

impl Bridge {
    /// Waits until the bridge has dialled, and has it load the handler.
    pub(crate) async fn accept(listener: &UnixListener) -> Self {
        let (stream, _) = listener.accept().await.expect("the bridge dials");
        let mut bridge = Self { wire: Wire::over(stream).await, call: encoded_call() };
        let configure = serde_json::json!({"function_name": "noop", "function_version": 1});
        bridge.send(Method::PUT, CONFIGURE_PATH, configure.to_string().into()).await;
        let loaded = bridge.send(Method::GET, READY_PATH, Bytes::new()).await;
        assert_succeeded(&loaded, "the handler is loaded");
        bridge
    }

    /// Calls the handler once; returns the time until the end of its answer.
    pub(crate) async fn call(&mut self) -> Duration {
        let started = Instant::now();
        let answer = self.send(Method::POST, INVOKE_PATH, self.call.clone()).await;
        let time = started.elapsed();
        assert_succeeded(&answer, "the handler answers");
        time
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Bytes {
        let request =
            Request::builder().method(method).uri(path).header("host", "instance").body(Full::new(body));
        let (status, answer) = self.wire.send(request.expect("a request")).await;
        assert!(status.is_success(), "{path}: {status}");
        answer
    }
}

/// Fails where frames do not end in success.
fn assert_succeeded(frames: &[u8], what: &str) {
    let mut decoder = FrameDecoder::new();
    decoder.push(frames);
    let mut outcome = None;
    while let Some(frame) = decoder.next_frame().expect("frames") {
        if let Frame::End(end) = frame {
            outcome = Some(end.outcome);
        }
    }
    assert!(matches!(outcome, Some(Outcome::Succeeded)), "{what}: {outcome:?}");
}

fn encoded_call() -> Bytes {
    let head = InvokeHead {
        execution_id: "bench".to_owned(),
        deadline_ms: 5_000,
        method: "POST".to_owned(),
        path: "/".to_owned(),
        traceparent: None,
        query: Vec::new(),
        headers: Vec::new(),
    };
    [&head.encode().expect("a head")[..], b"1"].concat().into()
}
