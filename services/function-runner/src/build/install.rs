//! Installs the dependencies of a project, which runs what strangers wrote: package managers run the packages' scripts.
//!
//! It happens in a container that is confined as an instance is, and has no network interface but its own loopback.
//! Two sockets of this runner lie in it: one that the files go in and out by, and that of a [`Proxy`] that is for this
//! installation alone. See ADR 0008.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slipway_bridge::protocol::{End, Frame, FrameDecoder, FrameError, Outcome};
use slipway_kernel::RequestId;
use slipway_runtime::{
    ContainerId, ContainerRuntime, ContainerStatus, InstanceLimits, InstanceSpec, Labels, Removal,
    RuntimeError,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::task::TaskTracker;

use super::LogTail;
use super::parent_proxy::ParentProxies;
use super::proxy::Proxy;
use super::recipe::Installation;
use super::registries::Registries;
use crate::error::FunctionError;
use crate::runner_id::RunnerId;

const PROGRAM: &str = "/usr/local/bin/slipway-install";
const KIND_LABEL: &str = "dev.slipway.kind";
const KIND: &str = "build";
/// How often a container that has not dialled yet is asked whether it still runs.
const WATCH: Duration = Duration::from_millis(250);
const REMOVAL_ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LOG_TAIL_LINES: usize = 20;
/// The most text that an installation may print: each line takes this process time.
const MAX_PRINTED_BYTES: usize = 64 << 20;

/// What one installation may use.
#[derive(Debug, Clone)]
pub(crate) struct InstallSettings {
    /// Holds a directory for each installation that goes on. Short, because sockets lie in it.
    pub(crate) directory: PathBuf,
    /// Of the container; what it writes lies in memory.
    pub(crate) limits: InstanceLimits,
    /// The most bytes of what it leaves.
    pub(crate) output_bytes: u64,
    pub(crate) registries: Registries,
    /// What leads to them.
    pub(crate) parents: ParentProxies,
    /// The most bytes to and from registries.
    pub(crate) transfer_bytes: u64,
    /// The most connections at a time.
    pub(crate) connections: usize,
}

/// Runs installations, and sees to it that nothing of them is left.
pub(super) struct Installer(Arc<Shared>);

struct Shared {
    runtime: Arc<dyn ContainerRuntime>,
    runner: RunnerId,
    settings: InstallSettings,
    /// The names of the containers that belong to an installation that goes on, or is being removed.
    known: Mutex<HashSet<String>>,
    removals: TaskTracker,
}

/// Everything of one installation; removed when it is dropped.
struct Remains {
    shared: Arc<Shared>,
    name: String,
    home: PathBuf,
    /// The container while it is being created: the runtime finishes what is given up, and then it is there.
    creation: Option<JoinHandle<Result<ContainerId, RuntimeError>>>,
    container: Option<ContainerId>,
    proxy: Arc<Proxy>,
    /// The proxy at work; ends with this.
    serving: JoinSet<()>,
}

impl Installer {
    pub(super) fn new(
        runtime: Arc<dyn ContainerRuntime>,
        runner: RunnerId,
        settings: InstallSettings,
    ) -> Self {
        let (known, removals) = (Mutex::default(), TaskTracker::new());
        Self(Arc::new(Shared { runtime, runner, settings, known, removals }))
    }

    /// Gives `files` (a tar file) to a container of `image`, runs the command of `installation` there, and writes the
    /// tar of what that made to `output`. What it prints goes to `log`. Giving it up removes the container.
    pub(super) async fn install(
        &self,
        image: &str,
        installation: &Installation,
        files: &Path,
        output: &Path,
        log: &LogTail,
    ) -> Result<(), FunctionError> {
        log.push(&format!("$ {}", installation.command));
        let shared = &self.0;
        let (mut remains, listener) = shared.prepare(log)?;
        let (runtime, spec) = (Arc::clone(&shared.runtime), shared.describe(&remains, image, installation));
        let creation = tokio::spawn(async move { runtime.create_instance(&spec).await });
        let created = remains.creation.insert(creation).await;
        remains.creation = None;
        let container = created.map_err(FunctionError::Blocking)??;
        remains.container = Some(container.clone());
        shared.runtime.start(&container).await?;
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            fault = shared.watch(&container, log) => return Err(fault),
        };
        // One connection, ever: what is installed cannot dial.
        drop(listener);
        fs::remove_file(remains.home.join("runner.sock"))?;
        let conversed =
            Conversation::new(stream, shared.settings.output_bytes).carry_out(files, output, log).await;
        match conversed {
            Ok(()) => Ok(()),
            Err(fault) => Err(shared.explain(&container, fault, remains.proxy.refused()).await),
        }
    }

    /// Removes the containers of installations that nobody knows of: of a process that was killed, or of a removal
    /// that the runtime did not confirm.
    pub(super) async fn remove_unknown(&self) -> Result<(), FunctionError> {
        let found = self.0.runtime.list_owned(&self.0.labels()).await?;
        // Each is known before it is created, so one that is not known now is not on its way either.
        let known = self.0.known().clone();
        for container in found.into_iter().filter(|container| !known.contains(&container.name)) {
            self.0.remove_container(&container.id).await;
        }
        Ok(())
    }

    /// Waits until what was given up is removed.
    pub(super) async fn settle(&self) {
        self.0.removals.close();
        self.0.removals.wait().await;
    }
}

impl Shared {
    fn prepare(self: &Arc<Self>, log: &LogTail) -> io::Result<(Remains, UnixListener)> {
        let digits = RequestId::generate().as_uuid().simple().to_string();
        let short = &digits[digits.len() - 12..];
        let home = self.settings.directory.join(short);
        let name = format!("slipway-{}-build-{short}", self.runner);
        self.known().insert(name.clone());
        let settings = &self.settings;
        let proxy = Arc::new(Proxy::new(
            (settings.registries.clone(), settings.parents.clone()),
            settings.transfer_bytes,
            settings.connections,
            log.clone(),
        ));
        let mut remains = Remains {
            shared: Arc::clone(self),
            name,
            home: home.clone(),
            creation: None,
            container: None,
            proxy: Arc::clone(&proxy),
            serving: JoinSet::new(),
        };
        DirBuilder::new().mode(0o711).create(&home)?;
        fs::set_permissions(&home, Permissions::from_mode(0o711))?;
        remains.serving.spawn(proxy.serve(listen(&home.join("proxy.sock"))?));
        Ok((remains, listen(&home.join("runner.sock"))?))
    }

    fn describe(&self, remains: &Remains, image: &str, installation: &Installation) -> InstanceSpec {
        let command = [PROGRAM, installation.output, "sh", "-c", &installation.command];
        InstanceSpec {
            name: remains.name.clone(),
            image: image.to_owned(),
            command: command.map(str::to_owned).to_vec(),
            labels: self.labels(),
            socket_directory: remains.home.clone(),
            code_directory: None,
            limits: self.settings.limits,
            network: None,
        }
    }

    fn labels(&self) -> Labels {
        Labels::from([
            (RunnerId::LABEL.to_owned(), self.runner.to_string()),
            (KIND_LABEL.to_owned(), KIND.to_owned()),
        ])
    }

    /// Returns when the container has ended before it dialled.
    async fn watch(&self, container: &ContainerId, log: &LogTail) -> FunctionError {
        loop {
            tokio::time::sleep(WATCH).await;
            match self.runtime.inspect(container).await {
                Ok(state) if state.status == ContainerStatus::Exited => {
                    let printed = self.runtime.log_tail(container, LOG_TAIL_LINES).await.unwrap_or_default();
                    printed.lines().for_each(|line| log.push(line));
                    return failed("the container of the build ended before it began");
                }
                Err(RuntimeError::NotFound { .. }) => {
                    return failed("the container of the build was removed");
                }
                // The time of a build is bounded.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Adds what only the runtime and the proxy know to the reason why an installation failed.
    async fn explain(
        &self,
        container: &ContainerId,
        fault: FunctionError,
        refused: Option<&str>,
    ) -> FunctionError {
        let state = self.runtime.inspect(container).await;
        match (fault, refused) {
            _ if state.is_ok_and(|state| state.out_of_memory) => failed(&format!(
                "it needs more memory than the {} MiB that a build has, of which its files take a part",
                self.settings.limits.memory >> 20
            )),
            (FunctionError::InstallFailed(message), Some(refused)) => {
                failed(&format!("{message}; {refused}"))
            }
            (fault, _) => fault,
        }
    }

    /// Kills a container at once, and tries until the runtime says that it is gone.
    async fn remove_container(&self, container: &ContainerId) {
        let mut pause = FIRST_PAUSE;
        for _ in 0..REMOVAL_ATTEMPTS {
            match self.runtime.kill_and_remove(container).await {
                Ok(Removal::Removed | Removal::AlreadyGone) => return,
                Ok(Removal::OnlyKilled) => {}
                Err(error) => {
                    tracing::warn!(container.id = %container, %error, "cannot remove a container of a build");
                }
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        let (shared, name, home) = (Arc::clone(&self.shared), self.name.clone(), self.home.clone());
        let (creation, container) = (self.creation.take(), self.container.take());
        self.shared.removals.spawn(async move {
            let created = match creation {
                Some(creation) => creation.await.ok().and_then(Result::ok),
                None => None,
            };
            if let Some(container) = created.or(container) {
                shared.remove_container(&container).await;
            }
            if let Err(error) = fs::remove_dir_all(&home)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, path = %home.display(), "cannot remove the directory of a build");
            }
            // What the runtime did not confirm is found by the sweep, as it is no longer known.
            shared.known().remove(&name);
        });
    }
}

/// Empties the directory of installations. For the start alone. Blocking.
pub(crate) fn prepare_directory(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Listens where the container's user, who is nobody on this host, may connect.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// The runner's side of what `slipway-install` does.
struct Conversation {
    stream: UnixStream,
    decoder: FrameDecoder,
    output_bytes: u64,
    printed_bytes: usize,
}

impl Conversation {
    fn new(stream: UnixStream, output_bytes: u64) -> Self {
        Self { stream, decoder: FrameDecoder::new(), output_bytes, printed_bytes: 0 }
    }

    async fn carry_out(mut self, files: &Path, output: &Path, log: &LogTail) -> Result<(), FunctionError> {
        let mut sent = tokio::fs::File::open(files).await?;
        tokio::io::copy(&mut sent, &mut self.stream).await.map_err(|error| broken(&error))?;
        self.stream.shutdown().await.map_err(|error| broken(&error))?;
        let mut output = tokio::fs::File::from_std(File::create(output)?);
        let mut written: u64 = 0;
        loop {
            match self.next().await? {
                Frame::Log(line) => {
                    self.printed_bytes += line.text.len() + 1;
                    if self.printed_bytes > MAX_PRINTED_BYTES {
                        return Err(failed("it prints more than 64 MiB"));
                    }
                    log.push(&line.text);
                }
                Frame::Head(_) => {}
                Frame::Data(data) => {
                    written += data.len() as u64;
                    if written > self.output_bytes {
                        return Err(failed(&format!(
                            "the dependencies take more than {} MiB",
                            self.output_bytes >> 20
                        )));
                    }
                    output.write_all(&data).await?;
                }
                Frame::End(End { outcome: Outcome::Succeeded, .. }) => return Ok(output.flush().await?),
                Frame::End(End { outcome: Outcome::Failed { error }, .. }) => {
                    return Err(failed(&error.message));
                }
            }
        }
    }

    async fn next(&mut self) -> Result<Frame, FunctionError> {
        let mut buffer = bytes::BytesMut::with_capacity(64 * 1024);
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(|error| broken(&error))? {
                return Ok(frame);
            }
            buffer.clear();
            if self.stream.read_buf(&mut buffer).await.map_err(|error| broken(&error))? == 0 {
                return Err(broken(&FrameError::Truncated));
            }
            self.decoder.push(&buffer);
        }
    }
}

fn broken(cause: &dyn std::error::Error) -> FunctionError {
    failed(&format!("the container of the build broke off: {cause}"))
}

fn failed(message: &str) -> FunctionError {
    FunctionError::InstallFailed(message.to_owned())
}
