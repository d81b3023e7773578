//! The Podman API service as a child of this process.

mod process;
mod supervise;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::{ContainerRuntime, PodmanConfig, PodmanRuntime};
use process::Record;

/// How long a service may take to answer for the first time.
const FIRST_ANSWER: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct PodmanServiceConfig {
    /// Where it listens. Beside it lies `<socket>.lock`: who owns the service, and which process it is.
    pub socket: PathBuf,
    /// Handed over as `CONTAINERS_CONF`; else Podman reads the host's.
    pub containers_conf: Option<PathBuf>,
    /// Handed over as `CONTAINERS_STORAGE_CONF`; else Podman reads the host's.
    pub storage_conf: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("another process of Slipway runs the Podman service on {}", .0.display())]
    Owned(PathBuf),
    #[error("a Podman service that Slipway did not start answers on {}; stop it, or set PODMAN_MANAGED=false", .0.display())]
    Foreign(PathBuf),
    #[error("{} is in the way: it is no socket", .0.display())]
    InTheWay(PathBuf),
    #[error("the Podman service of an earlier run (process {0}) survives being killed")]
    Undead(i32),
    #[error("the Podman service does not answer: {0}")]
    Silent(String),
    #[error("cannot prepare the Podman service: {0}")]
    Io(#[from] io::Error),
}

/// A Podman service that is started, watched, started again when it dies, and stopped with this.
///
/// It does not outlive this process for long either: the kernel tells it to end when the thread that owns it dies
/// (`setpriv --pdeathsig`), and what ignores that is found by the next start and replaced. Containers go on.
#[derive(Debug)]
pub struct PodmanService {
    socket: PathBuf,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl PodmanService {
    /// Starts the service and waits until it answers.
    pub async fn start(config: PodmanServiceConfig) -> Result<Self, ServiceError> {
        let socket = config.socket.clone();
        let record = Record::own(&socket)?;
        record.end_previous().await?;
        clear(&socket)?;
        let (stop, stopped) = watch::channel(false);
        let (failed, mut failure) = watch::channel(String::new());
        let thread = std::thread::Builder::new()
            .name("podman-service".into())
            .spawn(move || supervise::run(&config, record, stopped, &failed))?;
        let mut service = Self { socket, stop, thread: Some(thread) };
        if timeout(FIRST_ANSWER, until_it_answers(&service.socket)).await.is_ok() {
            return Ok(service);
        }
        let reason = failure.borrow_and_update().clone();
        service.end().await;
        Err(ServiceError::Silent(reason))
    }

    /// The process that serves now; `None` between two.
    pub fn process(&self) -> Option<i32> {
        let mut file = File::open(process::record_path(&self.socket)).ok()?;
        process::read(&mut file).map(|(pid, _)| pid)
    }

    /// Stops the service and removes its socket. Containers go on running.
    pub async fn stop(mut self) {
        self.end().await;
    }

    async fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the thread of the podman service panicked");
            }
        }
    }
}

/// Removes the socket of a service that is gone.
fn clear(socket: &Path) -> Result<(), ServiceError> {
    match std::fs::symlink_metadata(socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ServiceError::InTheWay(socket.to_path_buf()));
        }
        Ok(_) => {}
    }
    if UnixStream::connect(socket).is_ok() {
        return Err(ServiceError::Foreign(socket.to_path_buf()));
    }
    Ok(std::fs::remove_file(socket)?)
}

async fn until_it_answers(socket: &Path) {
    let podman = PodmanRuntime::new(PodmanConfig::new(socket));
    while podman.report().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
