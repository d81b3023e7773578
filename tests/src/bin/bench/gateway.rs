//! The gateway on a processor of its own; the other programs of its platform are on the other one.

use std::net::SocketAddrV4;
use std::path::PathBuf;

use slipway_end_to_end::{Mode, Platform};
use tempfile::TempDir;

use crate::processes::{PROXY, pin};

/// Starts a platform whose gateway has one processor, and limits that count and are not reached by accounts.
pub(crate) async fn on_its_processor(settings: &[(&str, &str)]) -> Platform {
    let usual = [
        ("GATEWAY_WORKERS", "1"),
        ("GATEWAY_LIMITS", "true"),
        ("GATEWAY_LIMIT_PER_ACCOUNT", "10000000"),
        ("GATEWAY_MAX_IN_FLIGHT", "1000000"),
    ];
    let platform = Platform::start_with(Mode::Separate, &[&usual, settings].concat()).await;
    pin(platform.process_of("slipway-gateway"), PROXY);
    platform
}

/// Writes a `gateway.toml` of one route, `/bench`, to services on ports of this machine. `more` are further lines of it.
pub(crate) fn write_route(directory: &TempDir, ports: &[u16], more: &str) -> PathBuf {
    let upstreams: Vec<String> = ports.iter().map(|port| format!("'http://127.0.0.1:{port}'")).collect();
    let route = format!(
        "[[route]]\nprefix = '/bench'\nservice = 'bench'\nupstreams = [{}]\n{more}\n",
        upstreams.join(", ")
    );
    let path = directory.path().join("gateway.toml");
    std::fs::write(&path, route).expect("the routes");
    path
}

/// Returns where a server listens, from its URL.
pub(crate) fn address(url: &str) -> SocketAddrV4 {
    let address = url.trim_start_matches("http://").parse();
    address.unwrap_or_else(|fault| panic!("{url} is no address: {fault}"))
}
