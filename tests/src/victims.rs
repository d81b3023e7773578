use std::process::Command;
use std::time::Instant;

use slipway_runtime::{PodmanService, PodmanServiceConfig};
use slipway_testkit::required_setting;
use tempfile::TempDir;

use crate::waiting::eventually;
use crate::{Mode, Platform, TestCluster, containers_of, kill_container};

/// What is killed, as `kill -9` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// The process that runs the services.
    Runner,
    /// The process that serves Podman's API.
    Podman,
    /// All processes of one instance.
    Container,
    /// The database server.
    Postgres,
}

impl Blow {
    /// Each of them once.
    pub const ALL: [Self; 4] = [Self::Runner, Self::Podman, Self::Container, Self::Postgres];
}

/// A platform in one process, with a Podman service (on the storage of all) and a database server of its own: all may
/// be killed.
pub struct Victims {
    /// The platform itself.
    pub platform: Platform,
    podman: PodmanService,
    cluster: TestCluster,
    _podman_directory: TempDir,
}

impl Victims {
    /// Starts all of them, with settings beside the usual ones.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let cluster = TestCluster::start_new();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = PodmanServiceConfig {
            socket: directory.path().join("podman.sock"),
            containers_conf: Some(required_setting("CONTAINERS_CONF").into()),
            storage_conf: Some(required_setting("CONTAINERS_STORAGE_CONF").into()),
        };
        let socket = config.socket.display().to_string();
        let podman = PodmanService::start(config).await.expect("a Podman service");
        let mut all = cluster.settings();
        all.push(("PODMAN_SOCKET", &socket));
        all.extend(settings);
        let platform = Platform::start_with(Mode::Standalone, &all).await;
        Self { platform, podman, cluster, _podman_directory: directory }
    }

    /// Kills, and starts again what nobody else would; `choose` picks a container by the number that there are. Returns
    /// the moment from which it is on the platform to serve again.
    pub async fn strike(&mut self, blow: Blow, choose: impl FnOnce(usize) -> usize) -> Instant {
        match blow {
            Blow::Runner => {
                self.platform.kill();
                let restarted = Instant::now();
                self.platform.restart().await;
                restarted
            }
            Blow::Podman => {
                // One that was killed before may not have been replaced yet.
                eventually("a process of Podman's to kill", async || {
                    let process = self.podman.process()?;
                    let killed = Command::new("kill").args(["-9", &process.to_string()]).output();
                    killed.is_ok_and(|killed| killed.status.success()).then_some(())
                })
                .await;
                Instant::now()
            }
            Blow::Container => {
                let containers = eventually("a container", async || {
                    Some(containers_of(&self.platform.state())).filter(|all| !all.is_empty())
                })
                .await;
                kill_container(&containers[choose(containers.len())]);
                Instant::now()
            }
            Blow::Postgres => {
                self.cluster.crash();
                // Its own recovery is its own.
                self.cluster.start();
                Instant::now()
            }
        }
    }

    /// Ends the Podman service, once the platform needs it no more.
    pub async fn end(self) {
        drop(self.platform);
        self.podman.stop().await;
    }
}
