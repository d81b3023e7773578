//! What the platform costs beyond the functions themselves: `make bench`, or `scripts/bench <theme>…`.
//!
//! Each theme is a module, measures in a platform of its own and prints its targets, met or missed. What it compares
//! with, it measures in the same run and in turn, so that both see the same noise of the machine.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark whose surroundings are at fault stops and says so"
)]

mod answers;
mod attacker;
mod attacks;
mod bodies;
mod burst;
mod caller;
mod cold;
mod deploy;
mod direct;
mod figures;
mod files;
mod function;
mod gateway;
mod idle;
mod load;
mod logins;
mod logout;
mod outcomes;
mod owners;
mod processes;
mod proxy;
mod recovery;
mod replica;
mod replicas;
mod rivals;
mod sockets;
mod throughput;
mod timing;
mod verifier;
mod warm;
mod websocket;
mod wire;

use std::process::ExitCode;

/// What can be measured, in the order in which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
    Warm,
    Throughput,
    Cold,
    Deploy,
    Burst,
    Idle,
    Owners,
    Recovery,
    Logout,
    Logins,
    Timing,
    Proxy,
    Bodies,
    Sockets,
    Replicas,
    Attacks,
}

const THEMES: [(&str, Theme); 16] = [
    ("warm", Theme::Warm),
    ("throughput", Theme::Throughput),
    ("cold", Theme::Cold),
    ("deploy", Theme::Deploy),
    ("burst", Theme::Burst),
    ("idle", Theme::Idle),
    ("owners", Theme::Owners),
    ("recovery", Theme::Recovery),
    ("logout", Theme::Logout),
    ("logins", Theme::Logins),
    ("timing", Theme::Timing),
    ("proxy", Theme::Proxy),
    ("bodies", Theme::Bodies),
    ("sockets", Theme::Sockets),
    ("replicas", Theme::Replicas),
    ("attacks", Theme::Attacks),
];

#[tokio::main]
async fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, arguments)) = names.split_first()
        && take(role, arguments).await
    {
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = names.iter().find(|name| !THEMES.iter().any(|(known, _)| known == name)) {
        let known = THEMES.map(|(name, _)| name).join(", ");
        eprintln!("bench: there is no theme {unknown}: there are {known}");
        return ExitCode::from(64);
    }
    for (name, theme) in THEMES {
        if !names.is_empty() && !names.iter().any(|chosen| chosen == name) {
            continue;
        }
        println!("== {name}");
        match theme {
            Theme::Warm => warm::measure().await,
            Theme::Throughput => throughput::measure().await,
            Theme::Cold => cold::measure().await,
            Theme::Deploy => deploy::measure().await,
            Theme::Burst => burst::measure().await,
            Theme::Idle => idle::measure().await,
            Theme::Owners => owners::measure().await,
            Theme::Recovery => recovery::measure().await,
            Theme::Logout => logout::measure().await,
            Theme::Logins => logins::measure().await,
            Theme::Timing => timing::measure().await,
            Theme::Proxy => proxy::measure().await,
            Theme::Bodies => bodies::measure().await,
            Theme::Sockets => sockets::measure().await,
            Theme::Replicas => replicas::measure().await,
            Theme::Attacks => attacks::measure().await,
        }
        println!();
    }
    ExitCode::SUCCESS
}

/// Does what a theme has a process of its own for. Returns whether the first argument named such a thing.
async fn take(role: &str, arguments: &[String]) -> bool {
    match role {
        verifier::ARGUMENT => verifier::serve(arguments).await,
        attacker::ARGUMENT => attacker::run(arguments).await,
        _ => return false,
    }
    true
}
