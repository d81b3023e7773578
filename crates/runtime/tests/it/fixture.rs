use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use slipway_runtime::{
    BuildLimits, BuildSpec, ContainerId, ContainerRuntime, ContainerState, ContainerStatus, InstanceLimits,
    InstanceSpec, Labels, PodmanConfig, PodmanRuntime, RuntimeError,
};
use tempfile::TempDir;

pub(crate) const MIB: u64 = 1 << 20;
/// Far more than anything here takes, however slow the machine.
pub(crate) const BOUND: Duration = Duration::from_mins(1);

/// An image of a static busybox, and all that a test makes under one label of its own.
pub(crate) struct Fixture {
    pub(crate) podman: PodmanRuntime,
    pub(crate) socket: PathBuf,
    pub(crate) labels: Labels,
    pub(crate) image: String,
    pub(crate) directory: TempDir,
    created: AtomicU32,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let socket = std::env::var_os("SLIPWAY_TEST_PODMAN_SOCKET")
            .expect("SLIPWAY_TEST_PODMAN_SOCKET is not set: run the tests through `make test`");
        Self::on(Path::new(&socket)).await
    }

    pub(crate) async fn on(socket: &Path) -> Self {
        static FIXTURES: AtomicU32 = AtomicU32::new(0);
        let number = FIXTURES.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        let directory = TempDir::new().unwrap();
        open_to_others(directory.path(), 0o711);
        let fixture = Self {
            podman: PodmanRuntime::new(PodmanConfig::new(socket)),
            socket: socket.to_path_buf(),
            labels: Labels::from([("slipway.test".into(), name.clone())]),
            image: format!("localhost/slipway-test/runtime:{name}"),
            directory,
            created: AtomicU32::new(0),
        };
        let spec = fixture.busybox();
        fixture.podman.build_image(&spec, &mut |_| {}).await.unwrap();
        fixture
    }

    /// Has builds leave so many bytes of the disk free.
    pub(crate) fn require_free(&mut self, bytes: u64) {
        let config = PodmanConfig { disk_left_free: bytes, ..PodmanConfig::new(&self.socket) };
        self.podman = PodmanRuntime::new(config);
    }

    fn busybox(&self) -> BuildSpec {
        let context = self.directory.path().join("busybox.tar");
        let mut tar = tar::Builder::new(fs::File::create(&context).unwrap());
        append(&mut tar, "Containerfile", b"FROM scratch\nCOPY root /\nENV PATH=/bin\n");
        for directory in ["app", "bin", "dev", "etc", "proc", "run/slipway", "sys", "tmp"] {
            let mode = if directory == "tmp" { 0o1777 } else { 0o755 };
            let mut header = header(tar::EntryType::Directory, mode);
            tar.append_data(&mut header, format!("root/{directory}"), &[][..]).unwrap();
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"]
            .iter()
            .find_map(|path| fs::read(path).ok())
            .expect("these tests need a static busybox: install busybox-static");
        append(&mut tar, "root/bin/busybox", &busybox);
        for applet in APPLETS {
            let mut header = header(tar::EntryType::Symlink, 0o777);
            tar.append_link(&mut header, format!("root/bin/{applet}"), "busybox").unwrap();
        }
        tar.into_inner().unwrap();
        self.build_spec(context, &self.image)
    }

    /// Writes the context of a build `FROM` the busybox image, with the file `data` beside the Containerfile.
    pub(crate) fn build(&self, steps: &str, tag: &str) -> BuildSpec {
        let context = self.directory.path().join("context.tar");
        let label = &self.labels["slipway.test"];
        let text = format!("FROM {}\nLABEL slipway.test={label}\n{steps}\n", self.image);
        let mut tar = tar::Builder::new(fs::File::create(&context).unwrap());
        append(&mut tar, "Containerfile", text.as_bytes());
        append(&mut tar, "data", b"what is copied\n");
        tar.into_inner().unwrap();
        self.build_spec(context, tag)
    }

    fn build_spec(&self, context: PathBuf, tag: &str) -> BuildSpec {
        BuildSpec {
            context,
            containerfile: "Containerfile".into(),
            tag: tag.into(),
            labels: self.labels.clone(),
            build_args: Labels::new(),
            network: None,
            limits: BuildLimits { memory: 256 * MIB, cpu_millis: 1000, processes: 100, open_files: 1024 },
            timeout: BOUND,
        }
    }

    /// An instance that runs a shell script.
    pub(crate) fn instance(&self, script: &str) -> InstanceSpec {
        let number = self.created.fetch_add(1, Ordering::Relaxed);
        let name = format!("runtime-{}-{number}", self.labels["slipway.test"]);
        let socket_directory = self.directory.path().join(&name);
        fs::create_dir(&socket_directory).unwrap();
        open_to_others(&socket_directory, 0o711);
        InstanceSpec {
            name,
            image: self.image.clone(),
            // One stream, so that what it prints stays in order.
            command: vec!["/bin/sh".into(), "-c".into(), format!("exec 2>&1; {script}")],
            labels: self.labels.clone(),
            socket_directory,
            code_directory: None,
            limits: InstanceLimits {
                memory: 64 * MIB,
                cpu_millis: 500,
                processes: 20,
                open_files: 256,
                tmp: 4 * MIB,
            },
            network: None,
        }
    }

    pub(crate) async fn started(&self, spec: &InstanceSpec) -> ContainerId {
        let id = self.podman.create_instance(spec).await.unwrap();
        self.podman.start(&id).await.unwrap();
        id
    }

    pub(crate) async fn until_exited(&self, id: &ContainerId) -> ContainerState {
        let begin = Instant::now();
        loop {
            let state = self.podman.inspect(id).await.unwrap();
            if state.status == ContainerStatus::Exited {
                return state;
            }
            assert!(begin.elapsed() < BOUND, "still {state:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs an instance to its end. Returns how it ended, and what it printed.
    pub(crate) async fn run(&self, spec: &InstanceSpec) -> (ContainerState, String) {
        let id = self.started(spec).await;
        let state = self.until_exited(&id).await;
        let log = self.podman.log_tail(&id, 1000).await.unwrap();
        self.podman.kill_and_remove(&id).await.unwrap();
        (state, log)
    }

    async fn remove_all(podman: &PodmanRuntime, labels: &Labels) -> Result<(), RuntimeError> {
        for container in podman.list_owned(labels).await? {
            podman.kill_and_remove(&container.id).await?;
        }
        for image in podman.list_images(labels).await? {
            for tag in image.tags {
                podman.remove_image(&tag).await?;
            }
        }
        podman.prune_dangling(labels).await.map(drop)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let (socket, labels) = (self.socket.clone(), self.labels.clone());
        // The runtime of the test is busy dropping this.
        let removal = std::thread::spawn(move || {
            let podman = PodmanRuntime::new(PodmanConfig::new(socket));
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let begin = Instant::now();
                // A build that was given up holds its image for a moment.
                while let Err(error) = Self::remove_all(&podman, &labels).await {
                    assert!(begin.elapsed() < BOUND, "{error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        });
        let removed = removal.join();
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < BOUND, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether any process of this host has this word in its command line.
pub(crate) fn runs(word: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|process| {
        fs::read(process.path().join("cmdline"))
            .is_ok_and(|command| String::from_utf8_lossy(&command).contains(word))
    })
}

fn open_to_others(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn append(tar: &mut tar::Builder<fs::File>, path: &str, content: &[u8]) {
    let mut header = header(tar::EntryType::Regular, 0o755);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content).unwrap();
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(0);
    header
}

const APPLETS: [&str; 19] = [
    "cat", "dd", "env", "grep", "id", "ip", "ls", "mv", "readlink", "rm", "sh", "sleep", "tail", "touch",
    "true", "nc", "wc", "yes", "head",
];
