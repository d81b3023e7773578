//! Function-runner on real PostgreSQL and real Podman, and what tests do with it.

use std::io::{Cursor, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use slipway_config::{Reader, Settings};
use slipway_function_runner::{Config, FunctionRunner, MIGRATIONS};
use slipway_kernel::SystemClock;
use slipway_models::auth::UserType;
use slipway_runtime::{
    ContainerId, ContainerRuntime as _, Labels, OwnedContainer, PodmanConfig, PodmanRuntime,
};
use slipway_telemetry::Metrics;
use slipway_testkit::{Callers, TestCaller, TestDatabase, required_setting};
use slipway_web::{Context, Service as _};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// What outlives one process of function-runner: its database, its directories, the keys of its callers.
pub(crate) struct Surroundings {
    pub(crate) database: TestDatabase,
    pub(crate) callers: Callers,
    pub(crate) state: TempDir,
    pub(crate) run: TempDir,
}

/// Function-runner, running for one test on threads of its own. When it is dropped it is stopped as by a signal, and
/// what it built is removed.
pub(crate) struct TestRunner {
    pub(crate) base: String,
    pub(crate) operations: String,
    pub(crate) client: reqwest::Client,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    surroundings: Option<Surroundings>,
}

impl Surroundings {
    pub(crate) fn new() -> Self {
        Self {
            database: TestDatabase::create("functions", MIGRATIONS),
            callers: Callers::of("functions", Arc::new(SystemClock)),
            state: tempfile::tempdir().unwrap(),
            run: tempfile::tempdir().unwrap(),
        }
    }

    /// Returns the settings of a function-runner in these surroundings.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        vec![
            ("FUNCTIONS_DATABASE_URL", self.database.url().expose().to_owned()),
            ("FUNCTIONS_DATABASE_OWNER_URL", self.database.owner_url().expose().to_owned()),
            ("FUNCTIONS_DATABASE_TIMEOUT_MS", "2000".to_owned()),
            ("FUNCTIONS_PORT", "0".to_owned()),
            ("FUNCTIONS_OPERATIONS_PORT", "0".to_owned()),
            ("FUNCTIONS_WORKERS", "1".to_owned()),
            ("FUNCTIONS_DRAIN_SECONDS", "1".to_owned()),
            ("KEYS_DIR", path(self.callers.keys_dir())),
            ("STATE_DIR", path(self.state.path())),
            ("RUN_DIR", path(self.run.path())),
            // Nobody is there: what is put on the audit trail waits in the database.
            ("AUTH_URL", "http://127.0.0.1:1".to_owned()),
            // Tests of them ask for some: they are work for the machine and containers to count.
            ("INSTANCES_WARM", "0".to_owned()),
            ("PODMAN_SOCKET", required_setting("SLIPWAY_TEST_PODMAN_SOCKET")),
        ]
    }

    /// Returns the containers of the runner in these surroundings.
    pub(crate) async fn containers(&self) -> Vec<OwnedContainer> {
        podman().list_owned(&labels(self.state.path())).await.unwrap()
    }

    /// Kills and removes a container behind the runner's back.
    pub(crate) async fn kill_container(&self, id: &ContainerId) {
        podman().kill_and_remove(id).await.unwrap();
    }

    fn config(&self, settings: &[(&str, &str)]) -> Config {
        let changed = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let settings = Settings::from_pairs(self.settings().into_iter().chain(changed));
        let mut reader = Reader::new(&settings);
        let config = Config::read(&mut reader);
        reader.finish().unwrap();
        config
    }
}

impl TestRunner {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_on(Surroundings::new(), settings).await
    }

    pub(crate) async fn start_on(surroundings: Surroundings, settings: &[(&str, &str)]) -> Self {
        let config = surroundings.config(settings);
        let stop = CancellationToken::new();
        let (send, started) = channel();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let metrics = Metrics::new("functions").unwrap();
                let context = Context { clock: Arc::new(SystemClock), metrics, stop: stopped.clone() };
                let application = FunctionRunner::build(config, context).await.unwrap();
                send.send((application.address(), application.operations_address())).unwrap();
                application.run_until_stopped(stopped).await.unwrap();
            });
        });
        let (address, operations) =
            tokio::task::spawn_blocking(move || started.recv().unwrap()).await.unwrap();
        let runner = Self {
            base: format!("http://{address}"),
            operations: format!("http://{operations}"),
            client: reqwest::Client::builder().build().unwrap(),
            stop,
            thread: Some(thread),
            surroundings: Some(surroundings),
        };
        eventually("the runner is ready", async || runner.is_ready().await).await;
        runner
    }

    pub(crate) fn surroundings(&self) -> &Surroundings {
        self.surroundings.as_ref().unwrap()
    }

    /// Stops it as a signal would, and gives back what outlives it.
    pub(crate) fn stop(mut self) -> Surroundings {
        self.end();
        self.surroundings.take().unwrap()
    }

    pub(crate) fn person(&self) -> TestCaller {
        self.surroundings().callers.person(UserType::Regular)
    }

    pub(crate) fn request(&self, method: Method, path: &str, caller: &TestCaller) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base))
            .header("authorization", &caller.authorization)
    }

    pub(crate) async fn get(&self, path: &str, caller: &TestCaller) -> Response {
        self.request(Method::GET, path, caller).send().await.unwrap()
    }

    /// Asks for JSON that has to be there.
    pub(crate) async fn read(&self, path: &str, caller: &TestCaller) -> Value {
        let answer = self.get(path, caller).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str, caller: &TestCaller) -> Response {
        self.request(Method::DELETE, path, caller).send().await.unwrap()
    }

    /// Sends a deployment's form.
    pub(crate) async fn send_form(&self, form: Form, query: &str, caller: &TestCaller) -> Response {
        let path = format!("/api/v1/functions/deploy{query}");
        self.request(Method::POST, &path, caller).multipart(form).send().await.unwrap()
    }

    /// Deploys and waits until that is over.
    pub(crate) async fn try_deploy(&self, name: &str, archive: Vec<u8>, caller: &TestCaller) -> Response {
        self.send_form(form(name, archive), "?wait=true", caller).await
    }

    /// Deploys what has to become active; returns the answer.
    pub(crate) async fn deploy(&self, name: &str, files: &[(&str, &str)], caller: &TestCaller) -> Value {
        let answer = self.try_deploy(name, zip_of(files), caller).await;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 201, "{body:#}");
        body
    }

    /// Waits until a deployment is neither queued nor building nor checking; returns it.
    pub(crate) async fn outcome(&self, id: &str, caller: &TestCaller) -> Value {
        let path = format!("/api/v1/deployments/{id}");
        let mut outcome = Value::Null;
        eventually("the deployment is over", async || {
            outcome = self.read(&path, caller).await;
            !matches!(outcome["status"].as_str().unwrap(), "queued" | "building" | "checking")
        })
        .await;
        outcome
    }

    /// Returns the tags of the images that this runner built.
    pub(crate) async fn images(&self) -> Vec<String> {
        let images = podman().list_images(&labels(self.surroundings().state.path())).await.unwrap();
        images.into_iter().flat_map(|image| image.tags).collect()
    }

    /// Removes an image behind the runner's back.
    pub(crate) async fn remove_image(&self, image: &str) {
        podman().remove_image(image).await.unwrap();
    }

    /// Returns how many containers this runner has.
    pub(crate) async fn containers(&self) -> usize {
        self.surroundings().containers().await.len()
    }

    /// Returns how many containers of its own a function has.
    pub(crate) async fn containers_of(&self, function: &str) -> usize {
        let mut labels = labels(self.surroundings().state.path());
        labels.insert("dev.slipway.function".to_owned(), function.to_owned());
        podman().list_owned(&labels).await.unwrap().len()
    }

    /// Returns how many installations go on, by their containers and their directories.
    pub(crate) async fn installations(&self) -> usize {
        let mut labels = labels(self.surroundings().state.path());
        labels.insert("dev.slipway.kind".to_owned(), "build".to_owned());
        let directories = std::fs::read_dir(self.surroundings().run.path().join("b")).unwrap().count();
        podman().list_owned(&labels).await.unwrap().len() + directories
    }

    /// Returns the names of what lies in a directory of its state.
    pub(crate) fn state(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.surroundings().state.path().join(directory)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    async fn is_ready(&self) -> bool {
        let ready = self.client.get(format!("{}/health/ready", self.operations)).send().await.unwrap();
        ready.status() == 200
    }

    fn end(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the runner ended in a panic");
        }
    }
}

impl Drop for TestRunner {
    fn drop(&mut self) {
        self.end();
        if let Some(surroundings) = self.surroundings.take() {
            let labels = labels(surroundings.state.path());
            // A runtime within a runtime has to be on a thread of its own; a second panic would abort the first's report.
            let removed = std::thread::spawn(move || remove_images(&labels)).join();
            assert!(removed.is_ok() || std::thread::panicking(), "images of the test are left behind");
        }
    }
}

fn remove_images(labels: &Labels) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let podman = podman();
        for image in podman.list_images(labels).await.unwrap() {
            for tag in image.tags {
                podman.remove_image(&tag).await.unwrap();
            }
        }
        podman.prune_dangling(labels).await.unwrap();
    });
}

fn podman() -> PodmanRuntime {
    PodmanRuntime::new(PodmanConfig::new(required_setting("SLIPWAY_TEST_PODMAN_SOCKET")))
}

/// The label of what belongs to the runner of a state directory.
fn labels(state: &Path) -> Labels {
    let id = std::fs::read_to_string(state.join("runner-id")).unwrap();
    Labels::from([("dev.slipway.runner".to_owned(), id.trim().to_owned())])
}

/// Asks until it is so; panics when it is not so within a generous time.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_mins(2), asked).await.is_ok(), "{what}: not within 2 min");
}

pub(crate) fn form(name: &str, archive: Vec<u8>) -> Form {
    Form::new().text("name", name.to_owned()).part("archive", file(archive))
}

pub(crate) fn file(archive: Vec<u8>) -> Part {
    Part::bytes(archive).file_name("archive")
}

pub(crate) fn zip_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub(crate) fn tar_gz_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Reads a problem: its status, its code and its detail.
pub(crate) async fn problem(answer: Response) -> (u16, String, String) {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    (status, text("code"), text("detail"))
}
