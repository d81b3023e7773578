use std::fs::{self, DirBuilder};
use std::io;
use std::num::NonZero;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use slipway_config::Reader;
use slipway_kernel::InstanceId;

use super::ledger::Room;
use super::pool::Limits;
use super::queues::Waiting;

/// The longest path of a Unix socket, with its terminating zero (`sun_path`, unix(7)), less that zero.
const MAX_SOCKET_PATH: usize = 107;

/// How instances are kept.
#[derive(Debug, Clone)]
pub struct InstancesConfig {
    /// Holds a directory for each instance.
    pub directory: PathBuf,
    /// Holds the code of each instance that was given it; on the file system of `STATE_DIR`.
    pub code_directory: PathBuf,
    /// What the names of images begin with.
    pub image_prefix: String,
    /// How many warm containers of each runtime are kept.
    pub warm: usize,
    /// The most instances of all functions.
    pub max_instances: usize,
    /// The most memory of all instances, in MiB.
    pub max_memory_mb: u64,
    /// The most instances of one owner's functions.
    pub max_instances_per_owner: usize,
    /// The most memory of one owner's instances, in MiB.
    pub max_memory_mb_per_owner: u64,
    /// The most calls of one function that wait for an instance.
    pub max_waiting: usize,
    /// The most calls of one owner's functions that wait.
    pub max_waiting_per_owner: usize,
    /// The most calls of all functions that wait, but for owners with less than a share of it.
    pub max_waiting_in_all: usize,
    /// The most containers that are created and started at a time.
    pub starts_at_a_time: usize,
    /// How long an instance stays without a call.
    pub idle: Duration,
    /// How long an instance may take to become ready.
    pub start_timeout: Duration,
    /// How often containers are compared with what is known.
    pub sweep: Duration,
}

impl InstancesConfig {
    /// Reads `INSTANCES_MAX` (1 to 10,000, 100) and `INSTANCES_MEMORY_MB` (64 and more, three quarters of the host's),
    /// `OWNER_INSTANCES_MAX` and `OWNER_MEMORY_MB` (three quarters of these), `INSTANCES_WARM` (0 to 20, 2),
    /// `RUNTIME_IMAGE_PREFIX`, `INSTANCE_QUEUE`,
    /// `INSTANCE_QUEUE_PER_OWNER` and `INSTANCE_QUEUE_IN_ALL` (1 to 100,000; 200, 500 and 2,000),
    /// `INSTANCE_STARTS_AT_A_TIME` (1 to 64, the processors), `INSTANCE_IDLE_SECONDS` (1 to 86,400, 300),
    /// `INSTANCE_START_TIMEOUT_MS` (100 to 600,000, 30,000) and `INSTANCE_SWEEP_SECONDS` (1 to 3,600, 30). The
    /// directories lie in `run_dir` and `state_dir`.
    pub fn read(reader: &mut Reader<'_>, run_dir: &Path, state_dir: &Path) -> Self {
        let processors = thread::available_parallelism().map_or(2, NonZero::get);
        let max_instances: usize = reader.within("INSTANCES_MAX", 100, 1..=10_000);
        let max_memory_mb: u64 = reader.within("INSTANCES_MEMORY_MB", host_memory_mb() / 4 * 3, 64..);
        let config = Self {
            directory: run_dir.join("i"),
            code_directory: state_dir.join("instances"),
            image_prefix: reader.or("RUNTIME_IMAGE_PREFIX", "localhost/slipway/".to_owned()),
            warm: reader.within("INSTANCES_WARM", 2, 0..=20),
            max_instances,
            max_memory_mb,
            max_instances_per_owner: reader.within(
                "OWNER_INSTANCES_MAX",
                (max_instances * 3).div_ceil(4),
                1..=10_000,
            ),
            max_memory_mb_per_owner: reader.within("OWNER_MEMORY_MB", (max_memory_mb * 3).div_ceil(4), 32..),
            max_waiting: reader.within("INSTANCE_QUEUE", 200, 1..=100_000),
            max_waiting_per_owner: reader.within("INSTANCE_QUEUE_PER_OWNER", 500, 1..=100_000),
            max_waiting_in_all: reader.within("INSTANCE_QUEUE_IN_ALL", 2_000, 1..=100_000),
            starts_at_a_time: reader.within("INSTANCE_STARTS_AT_A_TIME", processors.min(64), 1..=64),
            idle: Duration::from_secs(reader.within("INSTANCE_IDLE_SECONDS", 300, 1..=86_400)),
            start_timeout: Duration::from_millis(reader.within(
                "INSTANCE_START_TIMEOUT_MS",
                30_000,
                100..=600_000,
            )),
            sweep: Duration::from_secs(reader.within("INSTANCE_SWEEP_SECONDS", 30, 1..=3_600)),
        };
        let socket = config.socket(InstanceId::generate());
        if socket.as_os_str().len() > MAX_SOCKET_PATH {
            reader.refuse(
                "RUN_DIR",
                format_args!("is too long: a socket's path has at most {MAX_SOCKET_PATH} bytes"),
            );
        }
        config
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            host: Room { instances: self.max_instances, memory_mb: self.max_memory_mb },
            owner: Room { instances: self.max_instances_per_owner, memory_mb: self.max_memory_mb_per_owner },
            waiting: Waiting {
                per_function: self.max_waiting,
                per_owner: self.max_waiting_per_owner,
                in_all: self.max_waiting_in_all,
            },
        }
    }

    /// Makes the directories anew and closes them to others: only what is mounted from them lets an instance in.
    pub(super) fn prepare_directories(&self) -> io::Result<()> {
        for directory in [&self.directory, &self.code_directory] {
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        Ok(())
    }

    /// Returns the directory of an instance's code.
    pub(super) fn code(&self, id: InstanceId) -> PathBuf {
        self.code_directory.join(short(id))
    }

    /// Returns the directory of an instance.
    pub(super) fn home(&self, id: InstanceId) -> PathBuf {
        self.directory.join(short(id))
    }

    /// Returns the path of an instance's socket.
    pub(super) fn socket(&self, id: InstanceId) -> PathBuf {
        self.home(id).join("runner.sock")
    }
}

/// The last 12 digits of an id: random, and short enough for the path of a socket.
fn short(id: InstanceId) -> String {
    let digits = id.as_uuid().simple().to_string();
    digits[digits.len() - 12..].to_owned()
}

/// The host's memory (`MemTotal`, `proc_meminfo(5)`); 2 GiB where it cannot be read.
fn host_memory_mb() -> u64 {
    let read = || {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
    };
    read().unwrap_or(2_048)
}
