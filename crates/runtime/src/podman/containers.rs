use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_util::StreamExt;
use podman_api::Error;
use podman_api::api::Container;
use podman_api::models::ListContainer;
use podman_api::opts::{ContainerDeleteOpts, ContainerListFilter, ContainerListOpts, ContainerLogsOpts};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Deserialize;
use tokio::time::sleep;

use super::create::{self, LOG_BYTES};
use super::transport::within;
use super::{PodmanRuntime, cgroup, networks};
use crate::{
    ContainerId, ContainerState, ContainerStatus, InstanceSpec, Labels, OwnedContainer, Removal, RuntimeError,
};

/// How long Podman may take to remove a container that is killed already.
const REMOVAL: Duration = Duration::from_millis(900);
/// And one that it has to kill itself, because another process started it.
const REMOVAL_OF_UNKNOWN: Duration = Duration::from_secs(10);

/// Between two attempts at a removal.
const RETRY: Duration = Duration::from_millis(50);
/// The exit code of a first process that SIGKILL ended.
const KILLED: i32 = 128 + 9;

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "Id")]
    id: String,
}

pub(super) async fn create(
    runtime: &PodmanRuntime,
    spec: &InstanceSpec,
) -> Result<ContainerId, RuntimeError> {
    // An instance with a network comes to be only where the promises of one are held.
    let egress = match spec.network {
        Some(_) => Some(networks::require_egress(runtime).await?),
        None => None,
    };
    let body = create::body(spec, runtime.host().await?.rootless, egress);
    let _permit = runtime.starts.acquire().await;
    let created: Result<Created, _> = runtime.transport.post("/containers/create", &body).await;
    match created {
        Ok(created) => Ok(ContainerId(created.id)),
        // Podman answers 500.
        Err(RuntimeError::Refused { what }) if what.ends_with(": image not known") => {
            Err(RuntimeError::NotFound { what })
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn start(runtime: &PodmanRuntime, id: &ContainerId) -> Result<(), RuntimeError> {
    let container = container(runtime, id);
    {
        let _permit = runtime.starts.acquire().await;
        let started = async { container.start(None).await.or_else(already_started) };
        runtime.transport.request(started).await?;
    }
    if let Some(process) = state(runtime, id).await?.pid.and_then(|pid| open(id, pid)) {
        runtime.processes().insert(id.clone(), process);
    }
    Ok(())
}

fn already_started(error: Error) -> Result<(), Error> {
    match error {
        Error::Fault { code, .. } if code.as_u16() == 304 => Ok(()),
        error => Err(error),
    }
}

/// Takes hold of the first process of a container. `None` when it has ended, or when its cgroup does not name the
/// container: then the number is somebody else's here.
fn open(id: &ContainerId, pid: i32) -> Option<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    cgroup::names(pid, &id.0).then_some(process)
}

pub(super) async fn kill_and_remove(
    runtime: &PodmanRuntime,
    id: &ContainerId,
) -> Result<Removal, RuntimeError> {
    let killed = runtime.processes().get(id).is_some_and(|process| kill(process).is_ok());
    let bound = if killed { REMOVAL } else { REMOVAL_OF_UNKNOWN };
    let options = ContainerDeleteOpts::builder().force(true).timeout(0).volumes(true).build();
    let container = container(runtime, id);
    // Podman's own clean-up after an exit may be at work in the same directories.
    let mut was_there = false;
    let delete = async {
        loop {
            match container.delete(&options).await {
                Err(Error::Fault { code, .. }) if code.is_server_error() => was_there = true,
                outcome => return outcome,
            }
            sleep(RETRY).await;
        }
    };
    let removal = match within(bound, "removing a container", delete).await {
        Ok(()) => Removal::Removed,
        // An attempt that Podman said has failed got as far as that.
        Err(RuntimeError::NotFound { .. }) if was_there => Removal::Removed,
        Err(RuntimeError::NotFound { .. }) => Removal::AlreadyGone,
        Err(error) if killed => {
            tracing::warn!(container.id = %id, %error, "container is killed, but not yet removed");
            return Ok(Removal::OnlyKilled);
        }
        Err(error) => return Err(error),
    };
    runtime.processes().remove(id);
    if !killed {
        // A Podman that was killed while it started the container knows of no process, and removes around it.
        cgroup::kill_all(format!("libpod-{id}")).await;
    }
    Ok(removal)
}

/// A process that has ended counts as killed.
fn kill(process: &OwnedFd) -> io::Result<()> {
    match pidfd_send_signal(process, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn list_owned(
    runtime: &PodmanRuntime,
    labels: &Labels,
) -> Result<Vec<OwnedContainer>, RuntimeError> {
    let filters =
        labels.iter().map(|(key, value)| ContainerListFilter::LabelKeyVal(key.clone(), value.clone()));
    let options = ContainerListOpts::builder().all(true).filter(filters).build();
    let containers = runtime.transport.api().containers();
    let found = runtime.transport.request(containers.list(&options)).await?;
    Ok(found.into_iter().filter_map(owned).collect())
}

fn owned(found: ListContainer) -> Option<OwnedContainer> {
    Some(OwnedContainer {
        id: ContainerId(found.id?),
        name: found.names?.into_iter().next()?,
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        status: status(&found.state.unwrap_or_default()),
    })
}

fn status(name: &str) -> ContainerStatus {
    match name {
        "created" | "configured" => ContainerStatus::Created,
        "running" | "paused" => ContainerStatus::Running,
        "exited" | "stopped" => ContainerStatus::Exited,
        _ => ContainerStatus::Changing,
    }
}

pub(super) async fn inspect(
    runtime: &PodmanRuntime,
    id: &ContainerId,
) -> Result<ContainerState, RuntimeError> {
    let mut state = state(runtime, id).await?;
    if !state.out_of_memory {
        // Podman never tells of a process that was not the first.
        let id = id.0.clone();
        let counted = tokio::task::spawn_blocking(move || cgroup::ran_out_of_memory(&id)).await;
        // On cgroups v1 it tells of none, and the counter is gone with the first process. Nobody but the kernel and
        // `kill_and_remove`, which leaves nothing to inspect, kills that one.
        let killed = runtime.host().await?.old_cgroups && state.exit_code == Some(KILLED);
        state.out_of_memory = killed || counted.unwrap_or_default();
    }
    Ok(state)
}

/// The state as Podman tells it.
async fn state(runtime: &PodmanRuntime, id: &ContainerId) -> Result<ContainerState, RuntimeError> {
    let container = container(runtime, id);
    let found = runtime.transport.request(container.inspect()).await?;
    let state = found
        .state
        .ok_or_else(|| RuntimeError::Unexpected { what: format!("no state of container {id}") })?;
    let status = status(&state.status.unwrap_or_default());
    Ok(ContainerState {
        status,
        exit_code: state.exit_code.filter(|_| status == ContainerStatus::Exited),
        out_of_memory: state.oom_killed == Some(true),
        pid: state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0),
    })
}

pub(super) async fn log_tail(
    runtime: &PodmanRuntime,
    id: &ContainerId,
    lines: usize,
) -> Result<String, RuntimeError> {
    // A stream does not tell a container that is gone from a broken connection.
    state(runtime, id).await?;
    // All of the log, which is not much: Podman's own `tail` loses parts of lines.
    let options = ContainerLogsOpts::builder().stdout(true).stderr(true).build();
    let container = container(runtime, id);
    let read = async {
        let mut chunks = container.logs(&options);
        let mut log = Vec::new();
        while let Some(chunk) = chunks.next().await {
            log.extend(Vec::from(chunk?));
            log.drain(..log.len().saturating_sub(LOG_BYTES));
        }
        Ok(log)
    };
    let log = runtime.transport.request(read).await?;
    let log = String::from_utf8_lossy(&log);
    let all: Vec<&str> = log.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].join("\n"))
}

fn container(runtime: &PodmanRuntime, id: &ContainerId) -> Container {
    runtime.transport.api().containers().get(id.0.as_str())
}
