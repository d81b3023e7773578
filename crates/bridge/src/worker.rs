//! The language worker: its process, its output, and the socket to it.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};
use slipway_bridge::protocol::LogStream;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use crate::pipe::Pipe;

/// Names the descriptor of the socket to the worker, which takes it out of its environment.
const DESCRIPTOR_VARIABLE: &str = "SLIPWAY_WORKER_FD";
/// A pipe's default capacity on Linux: whatever was printed before an answer lies in the first so many bytes.
const PIPE_BYTES: usize = 64 * 1024;
/// How long the worker may take to end on SIGTERM.
const TERMINATION: Duration = Duration::from_secs(1);

/// What can be attended to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ready {
    Output(LogStream),
    Socket,
    Children,
}

/// Is killed, with its whole process group, when it is dropped.
pub(crate) struct Worker {
    process: Pid,
    socket: Rc<Pipe>,
    socket_open: bool,
    stdout: Option<Pipe>,
    stderr: Option<Pipe>,
    children: SignalStream,
    status: Option<WaitStatus>,
    buffer: Box<[u8]>,
}

impl Worker {
    /// Starts the command in a process group of its own. The socket is its standard input where that is asked for,
    /// else the one descriptor that it inherits beside its output.
    pub(crate) fn start(command: &[OsString], on_stdin: bool) -> io::Result<Self> {
        let children = signal(SignalKind::child())?;
        let (ours, theirs) = UnixStream::pair()?;
        let ((stdout, stdout_end), (stderr, stderr_end)) = (io::pipe()?, io::pipe()?);
        let descriptor = if on_stdin {
            0
        } else {
            rustix::io::fcntl_setfd(&theirs, FdFlags::empty())?;
            theirs.as_raw_fd()
        };
        let child = Command::new(&command[0])
            .args(&command[1..])
            .env(DESCRIPTOR_VARIABLE, descriptor.to_string())
            .stdin(if on_stdin { Stdio::from(OwnedFd::from(theirs)) } else { Stdio::null() })
            .stdout(stdout_end)
            .stderr(stderr_end)
            .process_group(0)
            .spawn()?;
        Ok(Self {
            process: Pid::from_child(&child),
            socket: Rc::new(Pipe::new(ours.into())?),
            socket_open: true,
            stdout: Some(Pipe::new(stdout.into())?),
            stderr: Some(Pipe::new(stderr.into())?),
            children,
            status: None,
            buffer: vec![0; PIPE_BYTES].into_boxed_slice(),
        })
    }

    pub(crate) fn process(&self) -> Pid {
        self.process
    }

    /// Returns how the worker ended, once [`Self::reap`] came upon it.
    pub(crate) fn status(&self) -> Option<WaitStatus> {
        self.status
    }

    /// Returns the socket, for writing to it beside reading what comes.
    pub(crate) fn socket(&self) -> Rc<Pipe> {
        Rc::clone(&self.socket)
    }

    /// Waits until something can be attended to. May be cancelled.
    pub(crate) async fn ready(&mut self) -> Ready {
        tokio::select! {
            _ = self.socket.readable(), if self.socket_open => Ready::Socket,
            () = readable(self.stdout.as_ref()) => Ready::Output(LogStream::Stdout),
            () = readable(self.stderr.as_ref()) => Ready::Output(LogStream::Stderr),
            _ = self.children.recv() => Ready::Children,
        }
    }

    /// Returns what the worker wrote to the socket; `None` when there is nothing, now or any more.
    pub(crate) fn read_socket(&mut self) -> Option<&[u8]> {
        let length = match self.socket.read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Ok(0) | Err(_) => {
                self.socket_open = false;
                return None;
            }
            Ok(length) => length,
        };
        Some(&self.buffer[..length])
    }

    /// Returns what lies in an output at this moment, all of what was printed until now.
    pub(crate) fn read_output(&mut self, stream: LogStream) -> Option<&[u8]> {
        let output = match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
            LogStream::Log => return None,
        };
        let length = match output.as_ref()?.read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Ok(0) | Err(_) => {
                *output = None;
                return None;
            }
            Ok(length) => length,
        };
        Some(&self.buffer[..length])
    }

    /// Reaps every child that ended, orphans too, and returns the worker's status once it is among them.
    pub(crate) fn reap(&mut self) -> Option<WaitStatus> {
        while let Ok(Some((process, status))) = wait(WaitOptions::NOHANG) {
            if process == self.process {
                self.status = Some(status);
            }
        }
        self.status
    }

    /// Ends the worker: by SIGTERM, and by SIGKILL if that is not enough.
    pub(crate) async fn terminate(&mut self) {
        let _ = kill_process_group(self.process, Signal::TERM);
        let _ = tokio::time::timeout(TERMINATION, async {
            while self.reap().is_none() {
                self.children.recv().await;
            }
        })
        .await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Fails where the whole group is gone already.
        let _ = kill_process_group(self.process, Signal::KILL);
    }
}

async fn readable(output: Option<&Pipe>) {
    match output {
        Some(pipe) if pipe.readable().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}
