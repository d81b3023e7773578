//! From nothing to an instance whose handler is loaded.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use slipway_bridge::protocol::{Configure, End, Frame, LogLine, Outcome};
use slipway_kernel::InstanceId;
use slipway_runtime::{ContainerStatus, InstanceLimits, InstanceSpec, Labels, RuntimeError};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::environment::environment;
use super::pool::Seat;
use super::{BridgeError, CheckFailure, Connection, Instance, Registered, Remains, Shared, StartFailure};
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
        let id = InstanceId::generate();
        let ended = CancellationToken::new();
        let registered = Registered { function_id: version.function_id, ended: ended.clone() };
        self.registered().insert(id, registered);
        let mut remains = Remains { id, seat, container: None, membership: None };
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(self.config.start_timeout, self.bring_up(&mut remains, version)) => {
                outcome.unwrap_or_else(|_| Err(CheckFailure::of(
                    "start_timed_out",
                    format!("the handler was not loaded within {} ms", self.config.start_timeout.as_millis()),
                ).into()))
            }
            () = ended.cancelled() => {
                let is_stopping = self.stopping.load(Ordering::Acquire);
                Err(if is_stopping { StartFailure::Stopping } else { StartFailure::Removed })
            }
        };
        match outcome {
            Ok((connection, load_lines)) => {
                let started_in = began.elapsed();
                tracing::debug!(instance.id = %id, function.id = %version.function_id, ?started_in, "instance is ready");
                Ok(Instance {
                    remains: Some(remains),
                    version: Arc::clone(version),
                    connection,
                    ended,
                    started_in,
                    load_lines,
                    shared: Arc::downgrade(self),
                })
            }
            Err(failure) => {
                self.pools().leave(remains.seat);
                self.remove_soon(remains);
                Err(failure)
            }
        }
    }

    async fn bring_up(
        &self,
        remains: &mut Remains,
        version: &Version,
    ) -> Result<(Connection, Vec<LogLine>), StartFailure> {
        let environment = environment(version, &self.keys)
            .map_err(|cause| StartFailure::Platform(format!("its secrets do not open: {cause}")))?;
        let listener =
            self.listen(remains.id).map_err(|cause| platform("its socket cannot be made", &cause))?;
        if version.config.egress {
            remains.membership = Some(Box::new(self.join_network(version.owner).await?));
        }
        let spec = self.describe(remains, version);
        let container = self.runtime.create_instance(&spec).await.map_err(|cause| unavailable(&cause))?;
        remains.container = Some(container.clone());
        self.runtime.start(&container).await.map_err(|cause| unavailable(&cause))?;

        let stream = tokio::select! {
            accepted = listener.accept() => accepted.map_err(|cause| platform("it cannot dial", &cause))?.0,
            failure = self.watch(remains) => return Err(failure),
        };
        // One connection, ever: nobody can dial what is not there.
        drop(listener);
        let _ = fs::remove_file(self.config.socket(remains.id));

        match load(stream, version, environment).await {
            Ok(Loaded { end: Outcome::Succeeded, connection, lines }) => Ok((connection, lines)),
            Ok(Loaded { end: Outcome::Failed { error }, lines, .. }) => Err(CheckFailure {
                kind: error.kind,
                message: error.message,
                trace: error.trace,
                log: lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect(),
            }
            .into()),
            Err(cause) => Err(self.explain(remains, &cause).await),
        }
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

    fn describe(&self, remains: &Remains, version: &Version) -> InstanceSpec {
        let config = &version.config;
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
            limits: InstanceLimits {
                memory: u64::from(config.memory_mb) * MIB,
                cpu_millis: cpu_millis(config.cpu),
                processes: PROCESSES,
                open_files: OPEN_FILES,
                tmp: u64::from(config.tmp_mb) * MIB,
            },
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

struct Loaded {
    end: Outcome,
    connection: Connection,
    lines: Vec<LogLine>,
}

async fn load(
    stream: tokio::net::UnixStream,
    version: &Version,
    env: BTreeMap<String, String>,
) -> Result<Loaded, BridgeError> {
    let mut connection = Connection::open(stream).await?;
    let configure = Configure {
        function_name: version.function_name.clone(),
        function_version: version.number,
        env,
        entry: version.entry.clone(),
        concurrency: 1,
        log_limit_bytes: LOG_LIMIT_BYTES,
    };
    connection.configure(&configure).await?;
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
                return Ok(Loaded { end, connection, lines });
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
