//! A Podman service of our own, on storage of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use slipway_runtime::{
    ContainerRuntime, PodmanConfig, PodmanRuntime, PodmanService, PodmanServiceConfig, Removal, ServiceError,
};
use tempfile::TempDir;

use crate::fixture::{Fixture, until};

/// Storage and settings of a Podman of its own, as the local stack has them.
struct Stack {
    directory: TempDir,
    /// Names the network as well, which must be the only one so named on this host.
    name: String,
}

impl Stack {
    fn new() -> Self {
        static STACKS: AtomicU32 = AtomicU32::new(0);
        let stack = Self {
            // Below a TMPDIR that is closed to others, instances could not reach their root.
            directory: TempDir::new_in("/tmp").unwrap(),
            name: format!("runtime-{}-{}", std::process::id(), STACKS.fetch_add(1, Ordering::Relaxed)),
        };
        fs::set_permissions(stack.directory.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/podman-config");
        let status = Command::new(script).args([stack.state(), stack.path("run")]).status();
        assert!(status.unwrap().success());
        stack
    }

    fn state(&self) -> PathBuf {
        self.path(&self.name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self) -> PodmanServiceConfig {
        PodmanServiceConfig {
            socket: self.path("podman.sock"),
            containers_conf: Some(self.state().join("containers.conf")),
            storage_conf: Some(self.state().join("storage.conf")),
        }
    }

    fn podman(&self) -> PodmanRuntime {
        PodmanRuntime::new(PodmanConfig::new(self.config().socket))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Podman keeps its storage mounted on itself.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = |point: &&str| Path::new(point).starts_with(self.directory.path());
        for point in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(below) {
            let _ = Command::new("umount").args(["--lazy", point]).status();
        }
    }
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A zombie has ended; its parent may take its time.
fn lives(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
}

#[tokio::test]
async fn a_service_that_dies_is_started_again() {
    let stack = Stack::new();
    let service = PodmanService::start(stack.config()).await.unwrap();
    let podman = stack.podman();
    podman.report().await.unwrap();
    let first = service.process().unwrap();

    signal(first, Signal::KILL);
    until("another one answers", async || {
        service.process().is_some_and(|pid| pid != first) && podman.report().await.is_ok()
    })
    .await;

    let second = service.process().unwrap();
    service.stop().await;
    assert!(!lives(second));
    assert!(!stack.config().socket.exists());
}

#[tokio::test]
async fn a_socket_has_one_owner() {
    let stack = Stack::new();
    let service = PodmanService::start(stack.config()).await.unwrap();

    let error = PodmanService::start(stack.config()).await.unwrap_err();
    assert!(matches!(error, ServiceError::Owned(_)), "{error}");
    stack.podman().report().await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn what_lies_at_the_socket_is_replaced_only_if_it_is_dead() {
    let stack = Stack::new();
    let socket = stack.config().socket;

    let foreign = UnixListener::bind(&socket).unwrap();
    let error = PodmanService::start(stack.config()).await.unwrap_err();
    assert!(matches!(error, ServiceError::Foreign(_)), "{error}");

    drop(foreign);
    assert!(socket.exists(), "a stale socket");
    PodmanService::start(stack.config()).await.unwrap().stop().await;

    fs::write(&socket, "precious").unwrap();
    let error = PodmanService::start(stack.config()).await.unwrap_err();
    assert!(matches!(error, ServiceError::InTheWay(_)), "{error}");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
}

#[tokio::test]
async fn the_service_of_a_killed_owner_is_replaced() {
    let stack = Stack::new();
    let config = stack.config();
    let address = format!("unix://{}", config.socket.display());
    let mut left_over = Command::new("podman")
        .args(["system", "service", "--time=0", &address])
        .env("CONTAINERS_CONF", config.containers_conf.as_ref().unwrap())
        .env("CONTAINERS_STORAGE_CONF", config.storage_conf.as_ref().unwrap())
        .spawn()
        .unwrap();
    until("it answers", async || stack.podman().report().await.is_ok()).await;
    let stat = fs::read_to_string(format!("/proc/{}/stat", left_over.id())).unwrap();
    let started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
    fs::write(stack.path("podman.sock.lock"), format!("{} {started}", left_over.id())).unwrap();

    let waiter = std::thread::spawn(move || left_over.wait());
    let service = PodmanService::start(config).await.unwrap();

    assert!(waiter.join().unwrap().is_ok());
    stack.podman().report().await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn a_service_that_cannot_start_says_why() {
    let stack = Stack::new();
    let config = stack.config();
    fs::write(config.containers_conf.as_ref().unwrap(), "no [toml").unwrap();

    let error = PodmanService::start(config).await.unwrap_err();
    assert!(matches!(&error, ServiceError::Silent(reason) if reason.contains("containers.conf")), "{error}");
}

/// Not a test: what the next one runs in a process of its own, to kill it.
#[tokio::test]
#[ignore = "run by the_service_ends_with_a_killed_owner"]
async fn owner() {
    let directory = PathBuf::from(std::env::var_os("SLIPWAY_TEST_RUNTIME_OWNER").unwrap());
    let _service = PodmanService::start(PodmanServiceConfig {
        socket: directory.parent().unwrap().join("podman.sock"),
        containers_conf: Some(directory.join("containers.conf")),
        storage_conf: Some(directory.join("storage.conf")),
    })
    .await
    .unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_service_ends_with_a_killed_owner() {
    struct Killed(Child);
    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let stack = Stack::new();
    let mut owner = Killed(
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "service::owner"])
            .env("SLIPWAY_TEST_RUNTIME_OWNER", stack.state())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    until("it answers", async || stack.podman().report().await.is_ok()).await;
    let record = fs::read_to_string(stack.path("podman.sock.lock")).unwrap();
    let service: i32 = record.split_once(' ').unwrap().0.parse().unwrap();

    owner.0.kill().unwrap();
    owner.0.wait().unwrap();
    until("the service has ended", async || !lives(service)).await;

    PodmanService::start(stack.config()).await.unwrap().stop().await;
}

#[tokio::test]
async fn an_instance_dies_even_when_podman_hangs() {
    let stack = Stack::new();
    let service = PodmanService::start(stack.config()).await.unwrap();
    {
        let fixture = Fixture::on(&stack.config().socket).await;
        let id = fixture.started(&fixture.instance("sleep 1000")).await;
        let pid = fixture.podman.inspect(&id).await.unwrap().pid.unwrap();
        let podman = service.process().unwrap();

        signal(podman, Signal::STOP);
        let removal = fixture.podman.kill_and_remove(&id).await;
        let dead = !lives(pid);
        signal(podman, Signal::CONT);

        assert_eq!(removal, Ok(Removal::OnlyKilled));
        assert!(dead);
        fixture.podman.kill_and_remove(&id).await.unwrap();
    }
    service.stop().await;
}

#[tokio::test]
async fn what_a_killed_service_left_of_a_build_is_removed() {
    let stack = Stack::new();
    let service = PodmanService::start(stack.config()).await.unwrap();
    {
        let fixture = Fixture::on(&stack.config().socket).await;
        let seconds = format!("6{:07}", std::process::id());
        let spec = fixture.build(&format!("RUN sleep {seconds}"), &format!("{}-built", fixture.image));
        let killed = async {
            until("the step runs", async || crate::fixture::runs(&format!("sleep\0{seconds}"))).await;
            signal(service.process().unwrap(), Signal::KILL);
        };
        let mut log = |_: &str| {};
        let (outcome, ()) = tokio::join!(fixture.podman.build_image(&spec, &mut log), killed);
        outcome.unwrap_err();
        assert!(!crate::fixture::runs(&seconds));
        until("the service is back", async || fixture.podman.report().await.is_ok()).await;

        assert_ne!(fixture.podman.remove_abandoned_builds().await, Ok(0));
        assert_eq!(fixture.podman.remove_abandoned_builds().await, Ok(0));
        let files = stack.state().join("containers/tmp").read_dir();
        assert_eq!(files.map_or(0, Iterator::count), 0);
        // The next build works; when it ends, nothing of the network is left either.
        let spec = fixture.build("RUN true", &format!("{}-built", fixture.image));
        fixture.podman.build_image(&spec, &mut |_| {}).await.unwrap();
    }
    service.stop().await;
}
