use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use slipway_clients::platform::Client;
use slipway_config::Secret;
use slipway_models::auth::{LoginRequest, RegisterRequest};
use slipway_testkit::{TestDatabase, free_ports, required_setting};
use tempfile::TempDir;

use crate::containers::remove_all_of;

/// The first superuser's password.
pub const ADMIN_PASSWORD: &str = "Correct horse battery";

/// How long a platform may take to be ready: making RSA keys is part of it, on a machine with other work.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// How the services run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All in one process.
    Standalone,
    /// Each as a program of its own.
    Separate,
}

/// A running platform with state of its own. Dropping it leaves nothing behind.
pub struct Platform {
    mode: Mode,
    gateway: String,
    more_gateways: Vec<(String, [(&'static str, String); 2])>,
    children: Vec<Child>,
    settings: Vec<(String, String)>,
    directory: TempDir,
    databases: [TestDatabase; 2],
}

impl Platform {
    /// Starts a platform and waits until it is ready.
    pub async fn start(mode: Mode) -> Self {
        Self::start_with(mode, &[]).await
    }

    /// Starts a platform with settings beside the usual ones.
    pub async fn start_with(mode: Mode, settings: &[(&str, &str)]) -> Self {
        let auth_database = TestDatabase::create("auth", slipway_auth::MIGRATIONS);
        let functions_database = TestDatabase::create("functions", slipway_function_runner::MIGRATIONS);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let ports = free_ports();
        let mut all = usual_settings(directory.path(), &ports);
        all.extend(database_settings("AUTH", &auth_database));
        all.extend(database_settings("FUNCTIONS", &functions_database));
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut platform = Self {
            mode,
            gateway: format!("http://127.0.0.1:{}", ports[0]),
            more_gateways: Vec::new(),
            children: Vec::new(),
            settings: all,
            directory,
            databases: [auth_database, functions_database],
        };
        platform.restart().await;
        platform
    }

    /// Starts the programs, and waits until the gateway says that all are ready.
    pub async fn restart(&mut self) {
        let programs: &[&str] = match self.mode {
            Mode::Standalone => &["slipway-standalone"],
            Mode::Separate => &["slipway-auth", "slipway-function-runner", "slipway-gateway"],
        };
        self.children = programs.iter().map(|program| self.spawn(program, &[])).collect();
        for (gateway, ports) in &self.more_gateways {
            self.children.push(self.spawn("slipway-gateway", ports));
            self.ready(gateway).await;
        }
        self.ready(&self.gateway).await;
    }

    /// Starts one gateway more, in front of the same services, and returns its address once it is ready.
    pub async fn add_gateway(&mut self) -> String {
        let [port, operations] = free_ports();
        let gateway = format!("http://127.0.0.1:{port}");
        let ports = [("GATEWAY_PORT", port.to_string()), ("GATEWAY_OPERATIONS_PORT", operations.to_string())];
        self.children.push(self.spawn("slipway-gateway", &ports));
        self.more_gateways.push((gateway.clone(), ports));
        self.ready(&gateway).await;
        gateway
    }

    async fn ready(&self, gateway: &str) {
        let client = reqwest::Client::builder().build().expect("an HTTP client");
        let ready = async {
            loop {
                let answer = client.get(format!("{gateway}/health")).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(READY_WITHIN, ready).await.is_ok();
        assert!(in_time, "the platform is not ready within {READY_WITHIN:?}; its log:\n{}", self.log());
    }

    /// Returns the database of auth.
    pub fn auth_database(&self) -> &TestDatabase {
        &self.databases[0]
    }

    /// Kills the programs as `kill -9` does: they can tidy up nothing.
    pub fn kill(&mut self) {
        for mut child in self.children.drain(..) {
            child.kill().expect("the program is ours");
            child.wait().expect("the program is ours");
        }
    }

    /// Stops the programs as an operator does (SIGTERM), and waits for their end.
    pub fn stop(&mut self) {
        for child in &self.children {
            let told = Command::new("kill").arg(child.id().to_string()).status();
            assert!(told.is_ok_and(|status| status.success()), "the program is ours");
        }
        for mut child in self.children.drain(..) {
            let status = child.wait().expect("the program is ours");
            assert!(status.success(), "a program stopped with {status}");
        }
    }

    /// Returns the gateway's address, as in `http://127.0.0.1:8080`.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Returns the state directory of the function-runner.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Returns the process that runs a program of the platform's.
    pub fn process_of(&self, name: &str) -> u32 {
        let runs = |process: &u32| {
            std::fs::read_link(format!("/proc/{process}/exe")).is_ok_and(|path| path.ends_with(name))
        };
        self.children.iter().map(Child::id).find(runs).unwrap_or_else(|| panic!("{name} does not run"))
    }

    /// Lists the directories of instances that the function-runner has made and not removed.
    pub fn instance_directories(&self) -> Vec<String> {
        let directories = std::fs::read_dir(self.directory.path().join("run/i")).expect("the run directory");
        directories.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Returns a client without a sign-in.
    pub fn anonymous(&self) -> Client {
        Client::new(&self.gateway).expect("the gateway's address")
    }

    /// Registers a person and signs them in.
    pub async fn sign_in(&self, name: &str) -> Client {
        self.anonymous().with_token(Secret::new(self.token_of(name).await))
    }

    /// Registers a person and signs them in; returns the access token.
    pub async fn token_of(&self, name: &str) -> String {
        let email = format!("{name}@example.org");
        let account = RegisterRequest {
            email: email.clone(),
            password: Some(ADMIN_PASSWORD.to_owned()),
            ..RegisterRequest::default()
        };
        self.anonymous().register(&account).await.expect("a new account");
        let login = LoginRequest {
            email: Some(email),
            password: Some(ADMIN_PASSWORD.to_owned()),
            ..LoginRequest::default()
        };
        self.anonymous().login(&login).await.expect("a session").access_token
    }

    /// Returns the command line of a person whose sign-in is kept apart from others'.
    pub fn slipway(&self, person: &str) -> Command {
        let mut command = Command::new(program("slipway"));
        command.env("SLIPWAY_CONFIG_DIR", self.directory.path().join("cli").join(person));
        command
    }

    /// Returns a program of the platform's with the platform's settings, to run a command of it.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Returns the directory of keys.
    pub fn keys(&self) -> PathBuf {
        self.directory.path().join("keys")
    }

    /// Returns all that the programs have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("platform.log")
    }

    fn spawn(&self, name: &str, settings: &[(&'static str, String)]) -> Child {
        let log = File::options().create(true).append(true).open(self.log_path()).expect("the log");
        Command::new(program(name))
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|fault| panic!("{name}: {fault}"))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the platform's log:\n{}", self.log());
        }
        for mut child in self.children.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
        remove_all_of(&self.state());
    }
}

fn usual_settings(directory: &Path, ports: &[u16; 6]) -> Vec<(String, String)> {
    let path = |name: &str| directory.join(name).display().to_string();
    for name in ["keys", "state", "run"] {
        std::fs::create_dir(directory.join(name)).expect("a directory");
    }
    let [gateway, auth, functions, gateway_operations, auth_operations, functions_operations] = ports;
    [
        ("GATEWAY_PORT", gateway.to_string()),
        ("AUTH_PORT", auth.to_string()),
        ("FUNCTIONS_PORT", functions.to_string()),
        ("GATEWAY_OPERATIONS_PORT", gateway_operations.to_string()),
        ("AUTH_OPERATIONS_PORT", auth_operations.to_string()),
        ("FUNCTIONS_OPERATIONS_PORT", functions_operations.to_string()),
        ("AUTH_URL", format!("http://127.0.0.1:{auth}")),
        ("FUNCTIONS_URL", format!("http://127.0.0.1:{functions}")),
        ("AUTH_OPERATIONS_URL", format!("http://127.0.0.1:{auth_operations}")),
        ("FUNCTIONS_OPERATIONS_URL", format!("http://127.0.0.1:{functions_operations}")),
        ("KEYS_DIR", path("keys")),
        ("STATE_DIR", path("state")),
        ("RUN_DIR", path("run")),
        ("PODMAN_SOCKET", required_setting("SLIPWAY_TEST_PODMAN_SOCKET")),
        ("PODMAN_MANAGED", "false".to_owned()),
        // Tests and themes that need some ask for them: they are work for the machine and containers to count.
        ("INSTANCES_WARM", "0".to_owned()),
        // Tests and themes ask more often than people do, all from one address.
        ("AUTH_LIMITS", "false".to_owned()),
        ("GATEWAY_LIMITS", "false".to_owned()),
        ("ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn database_settings(prefix: &str, database: &TestDatabase) -> [(String, String); 2] {
    [
        (format!("{prefix}_DATABASE_URL"), database.url().expose().to_owned()),
        (format!("{prefix}_DATABASE_OWNER_URL"), database.owner_url().expose().to_owned()),
    ]
}

/// Finds a program of ours beside the test's own: `target/debug` or `target/release`.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the test's own path");
    let found = own.ancestors().skip(1).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not built: run the tests by `make test`, or `cargo build --workspace --bins`")
    })
}
