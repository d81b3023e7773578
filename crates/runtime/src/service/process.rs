use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

use super::ServiceError;
use crate::process::start_time;

/// How long a service may take to end by itself.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// The locked file beside the socket: the lock says that its owner lives, the content which process serves. The
/// kernel drops the lock with its owner, however that ends.
#[derive(Debug)]
pub(super) struct Record {
    file: File,
    socket: PathBuf,
}

pub(super) fn record_path(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}

/// The process that a record names, and when it started: numbers are used again.
pub(super) fn read(file: &mut File) -> Option<(i32, u64)> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let (pid, started) = text.trim_end().split_once(' ')?;
    Some((pid.parse().ok()?, started.parse().ok()?))
}

impl Record {
    pub(super) fn own(socket: &Path) -> Result<Self, ServiceError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(record_path(socket))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, socket: socket.to_path_buf() }),
            Err(TryLockError::WouldBlock) => Err(ServiceError::Owned(socket.to_path_buf())),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    pub(super) fn write(&mut self, pid: i32) -> io::Result<()> {
        let started = start_time(pid)?;
        self.clear()?;
        write!(self.file, "{pid} {started}")
    }

    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)
    }

    /// Ends the service that an owner left behind when it was killed.
    pub(super) async fn end_previous(&self) -> Result<(), ServiceError> {
        let Some((pid, started)) = read(&mut self.file.try_clone()?) else {
            return Ok(());
        };
        let Some(process) = Pid::from_raw(pid)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            .filter(|_| self.serves(pid, started))
        else {
            return Ok(());
        };
        tracing::warn!(process.pid = pid, "ending the podman service of an earlier run");
        for signal in [Signal::TERM, Signal::KILL] {
            // One that has ended meanwhile is what we want.
            let _ = pidfd_send_signal(&process, signal);
            if self.ends(pid, started).await {
                return Ok(());
            }
        }
        Err(ServiceError::Undead(pid))
    }

    async fn ends(&self, pid: i32, started: u64) -> bool {
        let begin = Instant::now();
        while self.serves(pid, started) {
            if begin.elapsed() > GRACE {
                return false;
            }
            sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// Whether this is the process that was recorded, and serves this socket.
    fn serves(&self, pid: i32, started: u64) -> bool {
        start_time(pid).is_ok_and(|it| it == started)
            && fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| {
                let socket = self.socket.as_os_str().as_bytes();
                command.windows(socket.len()).any(|part| part == socket)
            })
    }
}
