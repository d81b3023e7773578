use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs, io};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::PodmanServiceConfig;
use super::process::{GRACE, Record};

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// One that has run this long did not die of how it was started.
const SOUND: Duration = Duration::from_secs(30);
/// Of this process's environment, what Podman needs. The rest may be secret, or a proxy that it would hand on; TMPDIR
/// would win over `image_copy_tmp_dir`, and what a killed build leaves there would not be found again.
const ENVIRONMENT: [&str; 6] =
    ["DBUS_SESSION_BUS_ADDRESS", "HOME", "LANG", "PATH", "USER", "XDG_RUNTIME_DIR"];

/// Runs the service until `stopped`. It has a thread of its own: the kernel ends the child with the thread that
/// started it, and threads of a pool come and go. `failed` tells what went wrong last.
pub(super) fn run(
    config: &PodmanServiceConfig,
    mut record: Record,
    stopped: watch::Receiver<bool>,
    failed: &watch::Sender<String>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(keep_running(config, &mut record, stopped, failed)),
        Err(error) => {
            tracing::error!(%error, "cannot watch the podman service");
            failed.send_replace(error.to_string());
        }
    }
}

async fn keep_running(
    config: &PodmanServiceConfig,
    record: &mut Record,
    mut stopped: watch::Receiver<bool>,
    failed: &watch::Sender<String>,
) {
    let mut delay = FIRST_DELAY;
    loop {
        let begin = Instant::now();
        let reason = match spawn(config, record, failed) {
            Ok(mut child) => tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return end(child, config, record).await,
                exit = child.wait() => exit.map_or_else(|error| error.to_string(), |exit| exit.to_string()),
            },
            Err(error) => {
                failed.send_replace(error.to_string());
                error.to_string()
            }
        };
        if begin.elapsed() >= SOUND {
            delay = FIRST_DELAY;
        }
        tracing::error!(reason, delay_ms = delay.as_millis(), "podman service ended, starting it again");
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = sleep(delay) => delay = (delay * 2).min(LONGEST_DELAY),
        }
    }
}

fn spawn(
    config: &PodmanServiceConfig,
    record: &mut Record,
    failed: &watch::Sender<String>,
) -> io::Result<Child> {
    // A service that was killed leaves it, and the next one cannot bind over it.
    forget_socket(config)?;
    let mut address = std::ffi::OsString::from("unix://");
    address.push(&config.socket);
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "--"])
        .args(["podman", "system", "service", "--time=0"])
        .arg(address)
        .env_clear()
        .envs(env::vars_os().filter(|(name, _)| ENVIRONMENT.iter().any(|kept| name == kept)))
        .envs(config.containers_conf.iter().map(|path| ("CONTAINERS_CONF", path)))
        .envs(config.storage_conf.iter().map(|path| ("CONTAINERS_STORAGE_CONF", path)))
        // conmon leaves a file `oom` in the directory that Podman was started in.
        .current_dir(config.socket.parent().unwrap_or_else(|| Path::new("/")))
        // So that an interrupt typed at a terminal reaches only us, who then stop it in order.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        record.write(pid)?;
    }
    if let Some(output) = child.stderr.take() {
        tokio::spawn(pass_on(output, failed.clone()));
    }
    Ok(child)
}

/// Logs what the service says.
async fn pass_on(output: ChildStderr, failed: watch::Sender<String>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::warn!(line, "podman service says");
        failed.send_replace(line);
    }
}

async fn end(mut child: Child, config: &PodmanServiceConfig, record: &mut Record) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It is not waited for yet, so the number is still its own; if it has ended, all is well.
        let _ = kill_process(pid, Signal::TERM);
    }
    let ended = match timeout(GRACE, child.wait()).await {
        Ok(ended) => ended.map(drop),
        Err(_) => child.kill().await,
    };
    if let Err(error) = ended.and_then(|()| record.clear()).and_then(|()| forget_socket(config)) {
        tracing::error!(%error, "cannot clean up after the podman service");
    }
}

fn forget_socket(config: &PodmanServiceConfig) -> io::Result<()> {
    match fs::remove_file(&config.socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
