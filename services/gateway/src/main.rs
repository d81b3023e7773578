//! The gateway as a program of its own.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    slipway_web::launch::<slipway_gateway::Gateway>().await
}
