//! Who a request comes from, where proxies stand before the gateway.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// The proxies whose word on who they forward for is believed.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(Vec<Network>);

/// One address, or all of a network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network(IpNet);

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let alone = text.parse::<IpAddr>().map(IpNet::from);
        let network =
            alone.or_else(|_| text.parse()).map_err(|_| "must be an address or a network, as 10.0.0.0/8")?;
        Ok(Self(network.trunc()))
    }
}

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Returns the address of whoever sent a request. Each proxy adds at the end of `x-forwarded-for` from where it was
    /// sent the request; what stands before the last address that is no trusted proxy's is the sender's own word.
    pub(crate) fn client<'a>(&self, peer: IpAddr, forwarded_for: impl Iterator<Item = &'a str>) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines: Vec<&str> = forwarded_for.collect();
        for told in lines.into_iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.trusts(client) {
                break;
            }
            let Some(before) = address(told.trim()) else { break };
            client = before;
        }
        client
    }

    /// Tells whether an address is a trusted proxy's.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|Network(network)| network.contains(&address))
    }
}

/// Reads an address, as some proxies write it with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, lines: &[&str]) -> String {
        let networks = trusted.iter().map(|text| text.parse().unwrap()).collect();
        TrustedProxies::new(networks).client(peer.parse().unwrap(), lines.iter().copied()).to_string()
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn the_client_is_the_last_whom_no_trusted_proxy_is() {
        let trusted = ["10.0.0.1", "2001:db8::/32"];
        assert_eq!(client(&trusted, "10.0.0.1", &["203.0.113.9, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            client(&trusted, "10.0.0.1", &["203.0.113.9", "198.51.100.7, 2001:db8::5"]),
            "198.51.100.7"
        );
        assert_eq!(client(&trusted, "::ffff:10.0.0.1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(client(&trusted, "10.0.0.1", &["[2001:db9::7]:80"]), "2001:db9::7");
        assert_eq!(client(&trusted, "10.0.0.1", &["198.51.100.7, unknown"]), "10.0.0.1");
        assert_eq!(client(&["0.0.0.0/0"], "10.0.0.1", &["198.51.100.7, 10.0.0.2"]), "198.51.100.7");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "proxy", "10.0.0.0/33", "10.0.0"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
