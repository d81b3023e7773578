//! The gateway on a processor of its own; the other programs of its platform are on the other one.

use std::net::SocketAddrV4;

use slipway_end_to_end::{Mode, Platform};

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

/// Returns where a server listens, from its URL.
pub(crate) fn address(url: &str) -> SocketAddrV4 {
    let address = url.trim_start_matches("http://").parse();
    address.unwrap_or_else(|fault| panic!("{url} is no address: {fault}"))
}
