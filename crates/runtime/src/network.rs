use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::Labels;

/// A network from which instances reach the public internet and nothing else: neither this host, nor a private,
/// shared or link-local range, nor another network. IPv4 only. See ADR 9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Unique on the host; `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
    pub name: String,
    /// The bridge's name on the host, at most 15 bytes. It begins with [`EgressConfig::interfaces`], by which its
    /// packets are known.
    pub interface: String,
    pub labels: Labels,
}

/// A network found by its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedNetwork {
    pub name: String,
    pub labels: Labels,
}

/// What the networks of one runner may reach, and how their rules are told from those of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressConfig {
    /// The firewall's chain, at most 28 bytes.
    pub chain: String,
    /// What the names of this runner's bridges begin with, and those of nothing else on the host.
    pub interfaces: String,
    /// The name servers of instances, which they reach on port 53 wherever these are.
    pub resolvers: Vec<Ipv4Addr>,
    /// What may be reached although it is private, or this host.
    pub allow: Vec<Destination>,
}

/// A range of IPv4 addresses, and a port where only one is meant: `10.1.0.0/16`, `10.1.2.3:5432`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
    pub(crate) port: Option<u16>,
}

/// The fault of a text that is no [`Destination`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entry must be ADDRESS or ADDRESS/PREFIX of IPv4, with or without :PORT")]
pub struct NoDestination;

impl FromStr for Destination {
    type Err = NoDestination;

    fn from_str(text: &str) -> Result<Self, NoDestination> {
        let (range, port) = match text.split_once(':') {
            Some((range, port)) => (range, Some(port.parse().map_err(|_| NoDestination)?)),
            None => (text, None),
        };
        let (address, prefix) = match range.split_once('/') {
            Some((address, prefix)) => (address, prefix.parse().map_err(|_| NoDestination)?),
            None => (range, 32),
        };
        let address = address.parse().map_err(|_| NoDestination)?;
        if prefix > 32 || port == Some(0) {
            return Err(NoDestination);
        }
        Ok(Self { address, prefix, port })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_an_address_or_a_range_with_or_without_a_port() {
        for (text, shown) in [
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.3:5432", "10.1.2.3/32:5432"),
            ("10.1.0.0/16", "10.1.0.0/16"),
            ("0.0.0.0/0:443", "0.0.0.0/0:443"),
        ] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), shown);
        }
        for text in
            ["", "host", "10.1.2", "10.1.2.3/33", "10.1.2.3:0", "10.1.2.3:x", "::1", "10.1.2.3/8/8", "-j"]
        {
            assert_eq!(text.parse::<Destination>(), Err(NoDestination), "{text}");
        }
    }
}
