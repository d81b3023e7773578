//! Podman, over its REST API on a Unix socket.
//!
//! Requests go through `podman-api`, but for three that it has no way to say, or says wrongly (0.11): creation (it
//! sends `no_new_privilages`, which Podman ignores), builds (it reads the whole context into memory, follows
//! symbolic links out of it, and cannot choose the network: Podman then takes the host's), and external containers.
//! These go through the client that it is built on.

mod build;
mod cgroup;
mod containers;
mod create;
mod disk;
mod firewall;
mod images;
mod log_tail;
mod networks;
mod transport;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use podman_api::models::Info;
use tokio::sync::{OnceCell, Semaphore};

use crate::{
    BuildSpec, ContainerId, ContainerRuntime, ContainerState, EgressConfig, ImageId, ImageSummary,
    InstanceSpec, Labels, NetworkSpec, OnLine, OwnedContainer, OwnedNetwork, Removal, RuntimeError,
    RuntimeReport,
};
use transport::Transport;

#[derive(Debug, Clone)]
pub struct PodmanConfig {
    /// The socket of the Podman API service.
    pub socket: PathBuf,
    /// How many creations and starts run at once: Podman takes locks and waits for the disk in each.
    pub concurrent_starts: usize,
    /// For every request but removals and builds, which have their own.
    pub request_timeout: Duration,
    /// Bytes of the disk of Podman's storage that builds leave free: whatever runs while less is free is ended.
    pub disk_left_free: u64,
    /// What instances with a network may reach; `None` refuses them.
    pub egress: Option<EgressConfig>,
}

impl PodmanConfig {
    /// The defaults for a socket: 4 starts at once, 30 seconds a request, 1 GiB left free, no egress.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            concurrent_starts: 4,
            request_timeout: Duration::from_secs(30),
            disk_left_free: 1 << 30,
            egress: None,
        }
    }
}

/// Podman behind a Unix socket. It connects for each request, so it outlives restarts of the service.
#[derive(Debug)]
pub struct PodmanRuntime {
    config: PodmanConfig,
    transport: Transport,
    host: OnceCell<Host>,
    starts: Semaphore,
    /// The first process of each container started here, to kill it when Podman hangs.
    processes: Mutex<HashMap<ContainerId, OwnedFd>>,
}

/// What does not change while the service's settings stay.
#[derive(Debug, Clone)]
struct Host {
    report: RuntimeReport,
    rootless: bool,
    systemd_cgroups: bool,
    /// Cgroups version 1.
    old_cgroups: bool,
    /// Podman's storage, where images and builds lie.
    storage: Option<PathBuf>,
    /// Where builds keep what is theirs, when that is inside Podman's own storage.
    build_files: Option<PathBuf>,
}

impl PodmanRuntime {
    pub fn new(config: PodmanConfig) -> Self {
        Self {
            transport: Transport::new(&config.socket, config.request_timeout),
            starts: Semaphore::new(config.concurrent_starts.max(1)),
            host: OnceCell::new(),
            processes: Mutex::default(),
            config,
        }
    }

    /// Asked once: it takes Podman longer the more images there are.
    async fn host(&self) -> Result<&Host, RuntimeError> {
        let ask = || async {
            let info = self.transport.request(self.transport.api().info()).await?;
            Ok(Host::from(&info))
        };
        self.host.get_or_try_init(ask).await
    }

    fn processes(&self) -> MutexGuard<'_, HashMap<ContainerId, OwnedFd>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&Info> for Host {
    fn from(info: &Info) -> Self {
        let host = info.host.as_ref();
        let store = info.store.as_ref();
        let storage = store.and_then(|store| store.graph_root.as_ref()).map(PathBuf::from);
        let build_files = store.and_then(|store| store.image_copy_tmp_dir.as_ref()).map(PathBuf::from);
        let build_files =
            build_files.filter(|files| storage.as_ref().is_some_and(|root| files.starts_with(root)));
        Self {
            report: report_of(info),
            rootless: is_rootless(info),
            systemd_cgroups: host.and_then(|host| host.cgroup_manager.as_deref()) == Some("systemd"),
            old_cgroups: host.and_then(|host| host.cgroup_version.as_deref()) == Some("v1"),
            storage,
            build_files,
        }
    }
}

/// An answer that does not say counts as rootful: the strict settings are for it.
fn is_rootless(info: &Info) -> bool {
    let security = info.host.as_ref().and_then(|host| host.security.as_ref());
    security.and_then(|security| security.rootless) == Some(true)
}

fn report_of(info: &Info) -> RuntimeReport {
    let host = info.host.as_ref();
    let version = info.version.as_ref().and_then(|it| it.version.as_deref());
    let controllers = host.and_then(|host| host.cgroup_controllers.as_deref());
    let controllers = controllers.unwrap_or_default();
    let limits = [("memory", "memory"), ("cpu", "cpu"), ("pids", "processes")];
    RuntimeReport {
        version: format!("podman {}", version.unwrap_or("of unknown version")),
        rootless: is_rootless(info),
        cgroup_version: host.and_then(|host| host.cgroup_version.clone()).unwrap_or_default(),
        limits_missing: limits
            .into_iter()
            .filter(|(controller, _)| !controllers.iter().any(|it| it == controller))
            .map(|(_, limit)| limit)
            .collect(),
    }
}

#[async_trait]
impl ContainerRuntime for PodmanRuntime {
    async fn report(&self) -> Result<RuntimeReport, RuntimeError> {
        self.transport.request(self.transport.api().ping()).await?;
        Ok(self.host().await?.report.clone())
    }

    async fn create_instance(&self, spec: &InstanceSpec) -> Result<ContainerId, RuntimeError> {
        containers::create(self, spec).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        containers::start(self, id).await
    }

    async fn kill_and_remove(&self, id: &ContainerId) -> Result<Removal, RuntimeError> {
        containers::kill_and_remove(self, id).await
    }

    async fn list_owned(&self, labels: &Labels) -> Result<Vec<OwnedContainer>, RuntimeError> {
        containers::list_owned(self, labels).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<ContainerState, RuntimeError> {
        containers::inspect(self, id).await
    }

    async fn require_egress(&self) -> Result<(), RuntimeError> {
        networks::require_egress(self).await.map(drop)
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<(), RuntimeError> {
        networks::ensure(self, spec).await
    }

    async fn remove_network(&self, name: &str) -> Result<bool, RuntimeError> {
        networks::remove(self, name).await
    }

    async fn list_networks(&self, labels: &Labels) -> Result<Vec<OwnedNetwork>, RuntimeError> {
        networks::list(self, labels).await
    }

    async fn close_egress(&self) -> Result<(), RuntimeError> {
        networks::close_egress(self).await
    }

    async fn log_tail(&self, id: &ContainerId, lines: usize) -> Result<String, RuntimeError> {
        containers::log_tail(self, id, lines).await
    }

    async fn build_image(&self, spec: &BuildSpec, log: &mut OnLine<'_>) -> Result<ImageId, RuntimeError> {
        build::build_image(self, spec, log).await
    }

    async fn remove_abandoned_builds(&self) -> Result<usize, RuntimeError> {
        build::remove_abandoned(self).await
    }

    async fn find_image(&self, reference: &str) -> Result<Option<ImageSummary>, RuntimeError> {
        images::find_tagged(&self.transport, reference).await
    }

    async fn image_exists(&self, reference: &str) -> Result<bool, RuntimeError> {
        images::exists(&self.transport, reference).await
    }

    async fn remove_image(&self, reference: &str) -> Result<bool, RuntimeError> {
        images::remove(&self.transport, reference).await
    }

    async fn list_images(&self, labels: &Labels) -> Result<Vec<ImageSummary>, RuntimeError> {
        images::list(&self.transport, labels).await
    }

    async fn prune_dangling(&self, labels: &Labels) -> Result<usize, RuntimeError> {
        images::prune_dangling(&self.transport, labels).await
    }
}
