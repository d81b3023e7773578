use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_util::StreamExt;
use podman_api::Error;
use podman_api::api::Container;
use podman_api::models::{ContainerInspectResponseLibpod, ListContainer};
use podman_api::opts::{ContainerDeleteOpts, ContainerListFilter, ContainerListOpts, ContainerLogsOpts};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Deserialize;

use super::create::{self, LOG_BYTES};
use super::log_tail::LogTail;
use super::transport::within;
use super::{PodmanRuntime, cgroup};
use crate::{
    ContainerId, ContainerState, ContainerStatus, InstanceSpec, Labels, OwnedContainer, Removal, RuntimeError,
};

/// How long Podman may take to remove a container that is killed already.
const REMOVAL: Duration = Duration::from_millis(900);
/// And one that it has to kill itself, because another process started it.
const REMOVAL_OF_UNKNOWN: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "Id")]
    id: String,
}

pub(super) async fn create(
    runtime: &PodmanRuntime,
    spec: &InstanceSpec,
) -> Result<ContainerId, RuntimeError> {
    let body = create::body(spec, runtime.host().await?.rootless);
    let _permit = runtime.starts.acquire().await;
    let created: Created = runtime.transport.post("/containers/create", &body).await?;
    Ok(ContainerId(created.id))
}

pub(super) async fn start(runtime: &PodmanRuntime, id: &ContainerId) -> Result<(), RuntimeError> {
    let container = container(runtime, id);
    {
        let _permit = runtime.starts.acquire().await;
        let started = async { container.start(None).await.or_else(already_started) };
        runtime.transport.request(started).await?;
    }
    if let Some(process) = inspect(runtime, id).await?.pid.and_then(|pid| open(id, pid)) {
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
    let removal = match within(bound, "removing a container", container.delete(&options)).await {
        Ok(()) => Removal::Removed,
        Err(RuntimeError::NotFound { .. }) => Removal::AlreadyGone,
        Err(error) if killed => {
            tracing::warn!(container.id = %id, %error, "container is killed, but not yet removed");
            return Ok(Removal::OnlyKilled);
        }
        Err(error) => return Err(error),
    };
    runtime.processes().remove(id);
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
    let container = container(runtime, id);
    let found = runtime.transport.request(container.inspect()).await?;
    state(found).ok_or_else(|| RuntimeError::Unexpected { what: format!("no state of container {id}") })
}

fn state(found: ContainerInspectResponseLibpod) -> Option<ContainerState> {
    let state = found.state?;
    let status = status(&state.status?);
    Some(ContainerState {
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
    let options = ContainerLogsOpts::builder().stdout(true).stderr(true).tail(lines.to_string()).build();
    let container = container(runtime, id);
    let read = async {
        let mut chunks = container.logs(&options);
        let mut tail = LogTail::new(LOG_BYTES);
        while let Some(chunk) = chunks.next().await {
            tail.push(String::from_utf8_lossy(&Vec::from(chunk?)).trim_end_matches('\n'));
        }
        Ok(tail.into_text())
    };
    runtime.transport.request(read).await
}

fn container(runtime: &PodmanRuntime, id: &ContainerId) -> Container {
    runtime.transport.api().containers().get(id.0.as_str())
}
