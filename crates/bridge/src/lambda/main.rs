//! `slipway-lambda`: the worker of the binary runtime. It serves the AWS Lambda Runtime API to a `bootstrap` program.
//!
//! The bridge's messages come and go on the socket that is its standard input (`../wire.rs` describes them). With the
//! configuration it starts the program, whose output is its own, and which finds the API at `$AWS_LAMBDA_RUNTIME_API`:
//! the handler is loaded once the program asks for its first invocation. When the program ends, the worker ends in the
//! same way. Everything runs on one thread; ADR 0013 says which events and answers go through.

mod answer;
mod api;
mod bootstrap;
mod calls;
mod event;
mod socket;

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use slipway_bridge::protocol::{Configure, Fault, InvokeHead};
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

use crate::api::Api;
use crate::calls::{Calls, Invocation};
use crate::socket::{Kind, Message, Receiver};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| LocalSet::new().block_on(&runtime, run())) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("slipway-lambda: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> io::Result<ExitCode> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (mut receiver, sender) = socket::split(socket)?;
    let Some(Message { kind: Kind::Configure, head, .. }) = receiver.receive().await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let configuration: Configure = serde_json::from_slice(&head)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let program = bootstrap::path(&configuration)?;
    let mut bootstrap = match bootstrap::start(&program, &configuration, listener.local_addr()?) {
        Ok(bootstrap) => bootstrap,
        Err(error) => {
            let message = format!("{} cannot be started: {error}", program.display());
            let fault = Fault { kind: "handler_missing".to_owned(), message, trace: None };
            sender.send(Kind::LastFailure, 0, &serde_json::to_vec(&fault)?, &[]).await?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let calls = Rc::new(Calls::default());
    let api = Rc::new(Api::new(&configuration, Rc::clone(&calls), sender));
    spawn_local(api.serve(listener));
    tokio::select! {
        // The bridge is gone: the container ends with it.
        ended = receive(&mut receiver, &calls) => ended.map(|()| ExitCode::SUCCESS),
        status = bootstrap.wait() => Ok(bootstrap::end_as(status?)),
    }
}

/// Takes in calls until the bridge is gone.
async fn receive(receiver: &mut Receiver, calls: &Calls) -> io::Result<()> {
    while let Some(Message { kind, call, head, body }) = receiver.receive().await? {
        if kind == Kind::Invoke {
            let head: InvokeHead = serde_json::from_slice(&head)?;
            calls.push(Invocation { call, head, body, came_ms: now_ms() });
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the Runtime API tells deadlines by the clock that the program has"
)]
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
