use std::collections::BTreeSet;
use std::io;
use std::str::FromStr;

use http::uri::Authority;

const HTTPS: u16 = 443;

/// The package registries that builds may reach, by host and port. The operator names each, so that it may lie in a
/// private network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Registries(BTreeSet<(String, u16)>);

/// Why a build may not reach a host.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0} is not an allowed registry; ask the operator to add it to BUILD_REGISTRIES")]
    NotAllowed(String),
    #[error(
        "{0} cannot be reached: no package registry is allowed here; ask the operator to name some in BUILD_REGISTRIES"
    )]
    NoneAllowed(String),
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, io::Error),
}

impl Registries {
    /// Checks that a host is a registry; returns its name and port.
    pub(super) fn check(&self, target: &Authority) -> Result<(String, u16), Refusal> {
        let Self(allowed) = self;
        let named = (target.host().to_ascii_lowercase(), target.port_u16().unwrap_or(HTTPS));
        if allowed.is_empty() {
            Err(Refusal::NoneAllowed(target.to_string()))
        } else if allowed.contains(&named) {
            Ok(named)
        } else {
            Err(Refusal::NotAllowed(target.to_string()))
        }
    }
}

/// Reads a list such as `mirror.example.com, mirror.lan:8081`; the port is 443 where none is given.
impl FromStr for Registries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let read = |entry: &str| {
            let authority: Authority = entry.parse().map_err(|_| format!("{entry:?} is no host"))?;
            if entry.contains('@') || authority.host().is_empty() {
                return Err(format!("{entry:?} is no host"));
            }
            Ok((authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(HTTPS)))
        };
        entries.map(read).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(registries: &Registries, target: &str) -> String {
        registries.check(&target.parse().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn only_what_is_listed_is_reached_and_only_on_its_port() {
        let registries: Registries = "127.0.0.1:8081".parse().unwrap();
        let named = registries.check(&"127.0.0.1:8081".parse().unwrap()).unwrap();
        assert_eq!(named, ("127.0.0.1".to_owned(), 8081));

        for other in [
            "127.0.0.1:1",
            "127.0.0.1",
            "localhost:80",
            "[::1]:80",
            "registry.example:443",
            "169.254.169.254:80",
        ] {
            let refusal = refused(&registries, other);
            assert_eq!(
                refusal,
                format!("{other} is not an allowed registry; ask the operator to add it to BUILD_REGISTRIES")
            );
        }
        let registries: Registries = "registry.example".parse().unwrap();
        for other in [
            "registry.example:22",
            "registry.example.com:443",
            "xregistry.example:443",
            "registry.example:443@127.0.0.1:443",
        ] {
            assert!(refused(&registries, other).contains("is not an allowed registry"), "{other}");
        }
    }

    #[test]
    fn where_none_is_allowed_the_refusal_says_so() {
        assert_eq!(
            refused(&Registries::default(), "registry.example:443"),
            "registry.example:443 cannot be reached: no package registry is allowed here; ask the operator to name \
             some in BUILD_REGISTRIES"
        );
    }

    #[test]
    fn a_list_of_hosts_is_read_and_anything_else_refused() {
        let read: Registries = " Mirror.example.com , mirror.lan:8081,[fd00::1]:80,".parse().unwrap();
        let expected = [("[fd00::1]", 80), ("mirror.example.com", 443), ("mirror.lan", 8081)]
            .map(|(host, port)| (host.to_owned(), port));
        assert_eq!(read.0.into_iter().collect::<Vec<_>>(), expected);
        for bad in ["https://mirror.lan", "a b", "user:word@mirror.lan", ":80", "mirror.lan/simple"] {
            assert!(bad.parse::<Registries>().is_err(), "{bad}");
        }
    }
}
