//! From nothing to an instance whose handler is loaded.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_bridge::protocol::{Configure, End, Frame, LogLine, Outcome};
use slipway_kernel::{FunctionId, InstanceId};
use slipway_models::functions::FunctionConfig;
use slipway_runtime::{ContainerId, ContainerStatus, InstanceLimits, InstanceSpec, Labels, RuntimeError};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::connection::Dialled;
use super::environment::environment;
use super::gate::Turn;
use super::ledger::Seat;
use super::{
    About, BridgeError, CheckFailure, Connection, Instance, Registered, Remains, Shared, StartFailure,
};
use crate::domain::Version;
use crate::runner_id::RunnerId;

const MIB: u64 = 1024 * 1024;
/// Processes and threads of an instance: Node.js alone takes a dozen.
const PROCESSES: u32 = 128;
const OPEN_FILES: u64 = 1_024;
/// Log text of one call, in bytes.
const LOG_LIMIT_BYTES: u64 = 256 * 1024;
/// How often an instance that has not dialled yet is asked whether it still runs.
const WATCH: Duration = Duration::from_millis(250);

const LOG_TAIL_LINES: usize = 50;

pub(super) const KIND_LABEL: &str = "dev.slipway.kind";

impl Shared {
    /// Starts an instance in `seat` and waits until it is ready. Where that fails, everything of it is removed.
    pub(super) async fn launch(
        self: &Arc<Self>,
        version: &Arc<Version>,
        seat: Seat,
    ) -> Result<Instance, StartFailure> {
        let began = Instant::now();
        let warm = self.furnish(version).await;
        self.make_room_of_warm();
        let is_warm = warm.is_some();
        let (mut remains, connections) = match warm {
            Some((remains, connections)) => (Remains { seat: Some(seat), ..remains }, Some(connections)),
            None => (Remains::of(InstanceId::generate(), Some(seat)), None),
        };
        let id = remains.id;
        let ended = self.register(id, Some(version.function_id));
        let outcome = match self.turn(&ended, is_warm, version).await {
            Ok(turn) => self.in_time(&ended, self.bring_up(&mut remains, connections, version, turn)).await,
            Err(failure) => Err(failure),
        };
        self.refill_warm();
        match outcome {
            Ok((free, load_lines)) => {
                let started_in = began.elapsed();
                tracing::debug!(instance.id = %id, function.id = %version.function_id, ?started_in, is_warm, "instance is ready");
                let about = About {
                    id,
                    container: remains.container.clone(),
                    version: Arc::clone(version),
                    ended,
                    stopped: CancellationToken::new(),
                    started_in,
                    shared: Arc::downgrade(self),
                };
                let connections = free.len();
                Ok(Instance { remains, about: Arc::new(about), free, connections, load_lines })
            }
            Err(failure) => {
                self.pools().leave(seat);
                self.remove_soon(remains);
                Err(failure)
            }
        }
    }

    /// Makes an instance known, of a function or of none yet; returns what is cancelled when it has to end.
    pub(super) fn register(&self, id: InstanceId, function_id: Option<FunctionId>) -> CancellationToken {
        let ended = CancellationToken::new();
        self.registered().insert(id, Registered { function_id, ended: ended.clone() });
        // What is registered after `stop` looked is not missed by it.
        if self.is_stopping() {
            ended.cancel();
        }
        ended
    }

    /// Waits for the turn to start a container, which is not of the time that the start may take. What runs already
    /// needs none.
    async fn turn(
        &self,
        ended: &CancellationToken,
        runs: bool,
        version: &Version,
    ) -> Result<Option<Turn>, StartFailure> {
        if runs {
            return Ok(None);
        }
        tokio::select! {
            turn = self.starts.enter(version.owner) => Ok(Some(turn)),
            () = ended.cancelled() => Err(self.ended_early()),
        }
    }

    fn ended_early(&self) -> StartFailure {
        if self.is_stopping() { StartFailure::Stopping } else { StartFailure::Removed }
    }

    /// Bounds a start by the time that it may take, and by `ended`.
    pub(super) async fn in_time<T>(
        &self,
        ended: &CancellationToken,
        start: impl Future<Output = Result<T, StartFailure>>,
    ) -> Result<T, StartFailure> {
        let limit = self.config.start_timeout;
        tokio::select! {
            outcome = tokio::time::timeout(limit, start) => outcome.unwrap_or_else(|_| {
                let message = format!("the handler was not loaded within {} ms", limit.as_millis());
                Err(CheckFailure::of("start_timed_out", message).into())
            }),
            () = ended.cancelled() => Err(self.ended_early()),
        }
    }

    async fn bring_up(
        &self,
        remains: &mut Remains,
        configured: Option<Vec<Connection>>,
        version: &Version,
        turn: Option<Turn>,
    ) -> Result<(Vec<Connection>, Vec<LogLine>), StartFailure> {
        let mut connections = match configured {
            Some(connections) => connections,
            None => self.start_image(remains, version, turn).await?,
        };
        let loaded = match connections.first_mut() {
            Some(first) => load(first).await,
            None => Err(BridgeError::Message("the instance has no connection".to_owned())),
        };
        match loaded {
            Ok((Outcome::Succeeded, lines)) => Ok((connections, lines)),
            Ok((Outcome::Failed { error }, lines)) => Err(CheckFailure {
                kind: error.kind,
                message: error.message,
                trace: error.trace,
                log: lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect(),
            }
            .into()),
            Err(cause) => Err(self.explain(remains, &cause).await),
        }
    }

    async fn start_image(
        &self,
        remains: &mut Remains,
        version: &Version,
        turn: Option<Turn>,
    ) -> Result<Vec<Connection>, StartFailure> {
        let configuration = self.configuration(version)?;
        if version.config.egress {
            remains.membership = Some(Box::new(self.join_network(version.owner).await?));
        }
        let spec = self.describe(remains, version);
        match self.dialled(remains, &spec, turn).await?.configure(&configuration).await {
            Ok(connections) => Ok(connections),
            Err(cause) => Err(self.explain(remains, &cause).await),
        }
    }

    /// Starts a container, in its turn, and waits until its bridge has dialled.
    pub(super) async fn dialled(
        &self,
        remains: &mut Remains,
        spec: &InstanceSpec,
        turn: Option<Turn>,
    ) -> Result<Dialled, StartFailure> {
        let listener =
            self.listen(remains.id).map_err(|cause| platform("its socket cannot be made", &cause))?;
        let container = self.create(remains, spec).await.map_err(|cause| unavailable(&cause))?;
        self.runtime.start(&container).await.map_err(|cause| unavailable(&cause))?;
        drop(turn);

        let stream = tokio::select! {
            accepted = listener.accept() => accepted.map_err(|cause| platform("it cannot dial", &cause))?.0,
            failure = self.watch(remains) => return Err(failure),
        };
        match Connection::open(stream) {
            Ok(connection) => Ok(Dialled { connection, listener, socket: self.config.socket(remains.id) }),
            Err(cause) => Err(self.explain(remains, &cause).await),
        }
    }

    /// Creates a container in a task of its own, so that a start which is given up meanwhile leaves its removal
    /// something to wait for.
    async fn create(&self, remains: &mut Remains, spec: &InstanceSpec) -> Result<ContainerId, RuntimeError> {
        let (runtime, spec) = (Arc::clone(&self.runtime), spec.clone());
        let creation = self.tasks.spawn(async move { runtime.create_instance(&spec).await });
        let created = remains.creation.insert(creation).await;
        remains.creation = None;
        let container =
            created.map_err(|fault| RuntimeError::Unexpected { what: fault.to_string() }).flatten()?;
        remains.container = Some(container.clone());
        Ok(container)
    }

    /// Makes the instance's directory and listens in it. The container's user is neither the owner of the directory
    /// nor root on this host: the modes let it through, and the directory above keeps everyone else out.
    fn listen(&self, id: InstanceId) -> io::Result<UnixListener> {
        let home = self.config.home(id);
        DirBuilder::new().mode(0o711).create(&home)?;
        fs::set_permissions(&home, Permissions::from_mode(0o711))?;
        let socket = self.config.socket(id);
        let listener = UnixListener::bind(&socket)?;
        fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
        Ok(listener)
    }

    /// Returns what an instance of a version is told before it loads the handler.
    pub(super) fn configuration(&self, version: &Version) -> Result<Configure, StartFailure> {
        let env = environment(version, &self.keys)
            .map_err(|cause| StartFailure::Platform(format!("its secrets do not open: {cause}")))?;
        Ok(Configure {
            function_name: version.function_name.clone(),
            function_version: version.number,
            env,
            entry: version.entry.clone(),
            concurrency: version.concurrency(),
            log_limit_bytes: LOG_LIMIT_BYTES,
        })
    }

    fn describe(&self, remains: &Remains, version: &Version) -> InstanceSpec {
        let mut labels = self.labels();
        labels.extend([
            ("dev.slipway.owner".to_owned(), version.owner.to_string()),
            ("dev.slipway.function".to_owned(), version.function_id.to_string()),
            ("dev.slipway.deployment".to_owned(), version.deployment_id.to_string()),
        ]);
        InstanceSpec {
            name: self.container_name(remains.id),
            image: version.image.clone(),
            command: Vec::new(),
            labels,
            socket_directory: self.config.home(remains.id),
            code_directory: None,
            limits: limits(&version.config),
            network: remains.membership.as_ref().map(|membership| membership.network.clone()),
        }
    }

    /// The labels by which this runner finds its instances again.
    pub(super) fn labels(&self) -> Labels {
        Labels::from([
            (RunnerId::LABEL.to_owned(), self.runner.to_string()),
            (KIND_LABEL.to_owned(), "instance".to_owned()),
        ])
    }

    pub(super) fn container_name(&self, id: InstanceId) -> String {
        format!("slipway-{}-{}", self.runner, self.config.home(id).file_name().unwrap_or_default().display())
    }

    /// Returns when the container has exited, with the reason.
    async fn watch(&self, remains: &Remains) -> StartFailure {
        loop {
            tokio::time::sleep(WATCH).await;
            let Some(container) = &remains.container else { continue };
            match self.runtime.inspect(container).await {
                Ok(state) if state.status == ContainerStatus::Exited => {
                    return self.explain(remains, &"it ended before it dialled").await;
                }
                Err(RuntimeError::NotFound { .. }) => {
                    return StartFailure::Platform("its container was removed".to_owned());
                }
                // Neither a container that runs nor a runtime that does not answer is a reason to stop waiting: the
                // time to start is bounded.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Finds out why an instance broke off while it started.
    async fn explain(&self, remains: &Remains, cause: &impl ToString) -> StartFailure {
        let cause = cause.to_string();
        let Some(container) = &remains.container else { return StartFailure::Platform(cause) };
        let log = self.runtime.log_tail(container, LOG_TAIL_LINES).await.unwrap_or_default();
        match self.runtime.inspect(container).await {
            Ok(state) if state.out_of_memory => CheckFailure {
                log,
                ..CheckFailure::of(
                    "out_of_memory",
                    "the handler needs more memory to load than memory_mb gives it",
                )
            }
            .into(),
            Ok(state) if state.status == ContainerStatus::Exited => {
                let status = state.exit_code.map_or_else(String::new, |code| format!(" with status {code}"));
                let message = format!("the instance ended{status} before its handler was loaded: {cause}");
                CheckFailure { log, ..CheckFailure::of("instance_exited", message) }.into()
            }
            Ok(_) => CheckFailure { log, ..CheckFailure::of("protocol_violated", cause) }.into(),
            Err(error) => StartFailure::Platform(format!("{cause}: {error}")),
        }
    }
}

/// Returns what a container may use.
pub(super) fn limits(config: &FunctionConfig) -> InstanceLimits {
    InstanceLimits {
        memory: u64::from(config.memory_mb) * MIB,
        cpu_millis: cpu_millis(config.cpu),
        processes: PROCESSES,
        open_files: OPEN_FILES,
        tmp: u64::from(config.tmp_mb) * MIB,
    }
}

/// Has the handler loaded; returns how that went, and what was printed meanwhile.
async fn load(connection: &mut Connection) -> Result<(Outcome, Vec<LogLine>), BridgeError> {
    let mut frames = connection.ready().await?;
    let mut lines = Vec::new();
    let mut bytes = 0;
    loop {
        match frames.next().await? {
            Frame::Log(line) => {
                bytes += line.text.len() as u64;
                if bytes <= LOG_LIMIT_BYTES {
                    lines.push(line);
                }
            }
            Frame::Head(_) | Frame::Data(_) => {}
            Frame::End(End { outcome: end, .. }) => {
                frames.finish().await?;
                return Ok((end, lines));
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a checked share of 0.1 to 4 processors"
)]
fn cpu_millis(cpu: f64) -> u32 {
    (cpu * 1_000.0).round() as u32
}

fn platform(what: &str, cause: &io::Error) -> StartFailure {
    StartFailure::Platform(format!("{what}: {cause}"))
}

fn unavailable(cause: &RuntimeError) -> StartFailure {
    StartFailure::Platform(cause.to_string())
}
