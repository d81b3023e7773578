//! The function's program.

use std::env;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};

use rustix::process::{Signal, getpid, kill_process};
use slipway_bridge::protocol::Configure;
use tokio::process::{Child, Command};

const DEFAULT_PROGRAM: &str = "bootstrap";
/// Where a container finds the limit of its memory: control groups of version 2, then version 1.
const MEMORY_LIMIT_FILES: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
const MIB: u64 = 1024 * 1024;
/// What no instance is given: a number above it says that there is no limit.
const MOST_MEMORY_MB: u64 = 1024 * 1024;
const DEFAULT_MEMORY_MB: u64 = 128;

/// Returns the path of the program that a configuration names.
pub(crate) fn path(configuration: &Configure) -> io::Result<PathBuf> {
    Ok(env::current_dir()?.join(configuration.entry.as_deref().unwrap_or(DEFAULT_PROGRAM)))
}

/// Starts the program with the function's settings and the variables that the Lambda Runtime API promises.
pub(crate) fn start(program: &Path, configuration: &Configure, api: SocketAddr) -> io::Result<Child> {
    let folder = env::current_dir()?;
    let name = &configuration.function_name;
    Command::new(program)
        .stdin(Stdio::null())
        .env_remove("SLIPWAY_WORKER_FD")
        .envs(&configuration.env)
        .env("AWS_LAMBDA_RUNTIME_API", api.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", configuration.function_version.to_string())
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb().to_string())
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", name)
        .env("LAMBDA_TASK_ROOT", &folder)
        .env("LAMBDA_RUNTIME_DIR", &folder)
        .env("_HANDLER", program.file_name().unwrap_or_default())
        .spawn()
}

fn memory_mb() -> u64 {
    let limit = MEMORY_LIMIT_FILES.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    limit.map(|bytes: u64| bytes / MIB).filter(|mb| *mb <= MOST_MEMORY_MB).unwrap_or(DEFAULT_MEMORY_MB)
}

/// Ends this process as the program ended, so that the bridge tells the program's fate.
pub(crate) fn end_as(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal().and_then(Signal::from_named_raw) {
        // Twice: the standard library takes the first fault, and leaves the second to the system.
        let _ = kill_process(getpid(), signal).and_then(|()| kill_process(getpid(), signal));
    }
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
