//! Function-runner as a program of its own.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    slipway_web::launch::<slipway_function_runner::FunctionRunner>().await
}
