//! The whole platform as one program.

use std::process::ExitCode;

use slipway_config::EXIT_USAGE;
use slipway_standalone::Config;
use slipway_web::BoxError;

const USAGE: &str = "slipway-standalone: every service of Slipway in one process\n\n\
    Usage: slipway-standalone [migrate | openapi | keys list | keys rotate | keys prune]\n\n\
    Without a word it serves until SIGTERM or SIGINT; `migrate` brings every database up to date and ends; `openapi`\n\
    prints the API's description; `keys` are those of access tokens, as `slipway-auth` has it. Settings come from the environment and from the TOML file that SLIPWAY_CONFIG\n\
    names: see the README.md of each service.";

/// `EX_SOFTWARE` of `sysexits.h`.
const EXIT_SOFTWARE: u8 = 70;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => start(serve).await,
        ["migrate"] => start(async |config| slipway_standalone::migrate(&config)).await,
        ["openapi"] => {
            end(slipway_standalone::openapi().to_pretty_json().map(|text| println!("{text}")), EXIT_SOFTWARE)
        }
        [first, second] if slipway_standalone::is_command(&format!("{first} {second}")) => {
            let name = format!("{first} {second}");
            start(async |config| {
                println!("{}", slipway_standalone::command(&config, &name)?);
                Ok(())
            })
            .await
        }
        ["--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => end(Err(USAGE), EXIT_USAGE),
    }
}

async fn start(work: impl AsyncFnOnce(Config) -> Result<(), BoxError>) -> ExitCode {
    let (config, telemetry) = match slipway_web::read_settings("standalone", Config::read) {
        Ok(read) => read,
        Err(faults) => return end(Err(faults), EXIT_USAGE),
    };
    let _telemetry = match slipway_telemetry::init(&telemetry) {
        Ok(guard) => guard,
        Err(fault) => return end(Err(fault), EXIT_USAGE),
    };
    end(work(config).await, EXIT_SOFTWARE)
}

async fn serve(config: Config) -> Result<(), BoxError> {
    slipway_standalone::run(config, slipway_web::stop_on_signal()?).await;
    Ok(())
}

fn end(outcome: Result<(), impl std::fmt::Display>, status: u8) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::from(status)
        }
    }
}
