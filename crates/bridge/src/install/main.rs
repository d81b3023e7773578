//! `slipway-install OUTPUT COMMAND [ARGUMENT…]`: the entry point of a container that installs the dependencies of a
//! function. It has no network; what it needs comes and goes through two sockets of the runner.
//!
//! 1. It dials the runner and unpacks the tar that comes on the connection into [`INSTALL_DIRECTORY`].
//! 2. It runs the command there. Connections to a port of the loopback interface, which the proxy variables of the
//!    environment name, are passed on to the runner's proxy.
//! 3. What the command prints goes to the runner line by line, as the frames of the library's `protocol` module; then,
//!    where it succeeded, a head and the tar of OUTPUT; then the end.
//!
//! The command and all that it leaves running end with this, which is the container's process 1. After a failure it stays
//! for a while, to be asked about. Exit status: 0 once the end is sent, 64 for wrong arguments, 69 when the runner cannot
//! be reached or leaves.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use slipway_bridge::protocol::{
    End, Fault, Frame, Head, INSTALL_DIRECTORY, LogLine, LogStream, Outcome, PROXY_SOCKET_PATH, SOCKET_PATH,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::Receiver;
use tokio::net::{TcpListener, UnixStream};
use tokio::process::Command;

const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
/// How long this stays after a failure, while the runner finds out about it; it kills the container when it has.
const LINGERS: Duration = Duration::from_secs(10);
/// The longest line, in bytes; a longer one goes out in parts.
const MAX_LINE_BYTES: usize = 16 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;
/// A pipe's default capacity on Linux: no more than this can be left of what a command printed before it ended.
const PIPE_BYTES: usize = 64 * 1024;
/// What programs look for to find a proxy; they do not agree on the case.
const PROXY_VARIABLES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [output, program, arguments @ ..] = &arguments[..] else {
        eprintln!("usage: slipway-install OUTPUT COMMAND [ARGUMENT…]");
        return ExitCode::from(USAGE);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(output, program, arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slipway-install: {error}");
            ExitCode::from(UNAVAILABLE)
        }
    }
}

async fn run(output: &OsStr, program: &OsStr, arguments: &[OsString]) -> io::Result<()> {
    let stream = BlockingStream::connect(SOCKET_PATH)?;
    unpack(stream.try_clone()?.into()).await?;
    stream.set_nonblocking(true)?;
    let mut runner = Runner(UnixStream::from_std(stream)?);
    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = format!("http://{}", proxy.local_addr()?);
    let mut command = Command::new(program);
    command.args(arguments).envs(PROXY_VARIABLES.map(|name| (name, &address)));
    let install = async {
        let outcome = match print(command, &mut runner).await {
            Ok(status) if status.success() => hand_over(output, &mut runner).await?,
            Ok(status) => failed(format!("{} ended with {status}", program.display())),
            Err(error) => failed(format!("{} cannot be run: {error}", program.display())),
        };
        let has_failed = matches!(outcome, Outcome::Failed { .. });
        runner.send(&Frame::End(end(outcome))).await?;
        if has_failed {
            // The kernel's account of what it killed for memory ends with the container.
            tokio::time::sleep(LINGERS).await;
        }
        Ok(())
    };
    tokio::select! {
        installed = install => installed,
        stopped = pass_on(&proxy) => match stopped? {},
    }
}

/// Unpacks what the runner sends until it sends no more.
async fn unpack(sent: OwnedFd) -> io::Result<()> {
    std::fs::create_dir(INSTALL_DIRECTORY)?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--directory", INSTALL_DIRECTORY, "--file", "-"]).stdin(sent);
    let status = tar.status().await?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("tar ended with {status}"))) }
}

/// Passes connections of this container on to the runner's proxy.
async fn pass_on(proxy: &TcpListener) -> io::Result<Infallible> {
    loop {
        let (mut inner, _) = proxy.accept().await?;
        tokio::spawn(async move {
            let mut outer = UnixStream::connect(PROXY_SOCKET_PATH).await?;
            tokio::io::copy_bidirectional(&mut inner, &mut outer).await
        });
    }
}

/// Runs a command and sends what it prints, both streams in one so that their order stays. What it leaves running may
/// hold the pipe open: that is not waited for.
async fn print(mut command: Command, runner: &mut Runner) -> io::Result<ExitStatus> {
    let (ours, theirs) = io::pipe()?;
    let mut child = command
        .current_dir(INSTALL_DIRECTORY)
        .stdin(Stdio::null())
        .stdout(theirs.try_clone()?)
        .stderr(theirs)
        .spawn()?;
    // It holds the pipe's other end, too.
    drop(command);
    let mut printed = Receiver::from_owned_fd(ours.into())?;
    let mut lines = Lines::default();
    let mut buffer = vec![0; CHUNK_BYTES];
    let status = loop {
        tokio::select! {
            biased;
            read = printed.read(&mut buffer) => match read? {
                0 => break child.wait().await?,
                length => lines.push(&buffer[..length], runner).await?,
            },
            ended = child.wait() => break ended?,
        }
    };
    let mut left = PIPE_BYTES;
    while left > 0 {
        match printed.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                lines.push(&buffer[..length], runner).await?;
                left = left.saturating_sub(length);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    lines.finish(runner).await?;
    Ok(status)
}

/// Sends the tar of what the command made.
async fn hand_over(output: &OsStr, runner: &mut Runner) -> io::Result<Outcome> {
    if !Path::new(INSTALL_DIRECTORY).join(output).is_dir() {
        return Ok(failed(format!("there is no {} afterwards", output.display())));
    }
    let mut tar = Command::new("tar");
    tar.args(["--create", "--directory", INSTALL_DIRECTORY, "--file", "-", "--"]).arg(output);
    let mut child = tar.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut packed = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
    runner.send(&Frame::Head(Head { status_code: 200, headers: Vec::new() })).await?;
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    while packed.read_buf(&mut chunk).await? > 0 {
        runner.send(&Frame::Data(chunk.split().freeze())).await?;
        chunk.reserve(CHUNK_BYTES);
    }
    let status = child.wait().await?;
    Ok(if status.success() { Outcome::Succeeded } else { failed(format!("tar ended with {status}")) })
}

/// The connection to the runner.
struct Runner(UnixStream);

impl Runner {
    async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes).map_err(io::Error::other)?;
        self.0.write_all(&bytes).await
    }
}

/// The line that the command is in the middle of.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    async fn push(&mut self, printed: &[u8], runner: &mut Runner) -> io::Result<()> {
        for part in printed.split_inclusive(|byte| *byte == b'\n') {
            self.0.extend_from_slice(part);
            if part.ends_with(b"\n") || self.0.len() >= MAX_LINE_BYTES {
                self.finish(runner).await?;
            }
        }
        Ok(())
    }

    async fn finish(&mut self, runner: &mut Runner) -> io::Result<()> {
        let line = Bytes::from(std::mem::take(&mut self.0));
        if line.is_empty() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        // The runner knows the time.
        runner.send(&Frame::Log(LogLine { time_us: 0, stream: LogStream::Stdout, text })).await
    }
}

fn failed(message: String) -> Outcome {
    Outcome::Failed { error: Fault { kind: "install_failed".to_owned(), message, trace: None } }
}

fn end(outcome: Outcome) -> End {
    End {
        outcome,
        log_bytes_dropped: 0,
        log_lines_dropped: 0,
        peak_memory_bytes: None,
        cpu_us: None,
        worker_exited: false,
    }
}
