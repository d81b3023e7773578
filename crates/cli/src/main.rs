//! The `slipway` command: signs in, and makes, deploys, calls and watches functions.
//!
//! Results go to standard output, everything else to standard error. `arguments.rs` lists the commands and the exit
//! statuses.

mod archive;
mod arguments;
mod commands;
mod environment;
mod failure;
mod output;
mod progress;
mod session;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    match run(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_status())
        }
    }
}

fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|fault| Failure::local(format!("cannot start: {fault}")))?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = commands::run(arguments, output) => outcome,
            Ok(()) = tokio::signal::ctrl_c() => Err(Failure::interrupted("interrupted")),
        }
    });
    // A thread that waits for a line of input must not hold up the end.
    runtime.shutdown_background();
    outcome
}
