//! The HTTP proxies through which this host reaches registries, where it reaches them through any.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::io;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use slipway_config::{Reader, Secret};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use url::Url;

use super::proxy::read_head;

const HTTP: u16 = 80;
const ESTABLISHED: &str = "200";

/// Which proxy leads to which registry, by the settings that most programs heed.
#[derive(Debug, Clone, Default)]
pub(crate) struct ParentProxies {
    tunnels: Option<ParentProxy>,
    requests: Option<ParentProxy>,
    direct: Vec<Direct>,
}

/// One proxy.
#[derive(Debug, Clone)]
pub(super) struct ParentProxy {
    host: String,
    port: u16,
    /// What `Proxy-Authorization` says.
    authorization: Option<Secret>,
}

/// What is reached without a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Direct {
    Everything,
    Network(IpNet),
    /// A host and all below it, on one port or on each.
    Host(String, Option<u16>),
}

impl ParentProxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            tunnels: reader.optional("HTTPS_PROXY"),
            requests: reader.optional("HTTP_PROXY"),
            direct: reader.list("NO_PROXY").unwrap_or_default(),
        }
    }

    /// Returns the proxy through which tunnels to a host lead, if any.
    pub(super) fn of_tunnels(&self, host: &str, port: u16) -> Option<&ParentProxy> {
        self.tunnels.as_ref().filter(|_| !self.is_direct(host, port))
    }

    /// Returns the proxy through which plain requests to a host lead, if any.
    pub(super) fn of_requests(&self, host: &str, port: u16) -> Option<&ParentProxy> {
        self.requests.as_ref().filter(|_| !self.is_direct(host, port))
    }

    fn is_direct(&self, host: &str, port: u16) -> bool {
        let address: Option<IpAddr> = bare(host).parse().ok();
        self.direct.iter().any(|direct| match direct {
            Direct::Everything => true,
            Direct::Network(network) => address.is_some_and(|address| network.contains(&address)),
            Direct::Host(name, only) => {
                let above = bare(host).strip_suffix(name.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
                    && only.is_none_or(|only| only == port)
            }
        })
    }
}

impl ParentProxy {
    /// Connects to the proxy.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect((bare(&self.host), self.port)).await
    }

    /// Has the proxy connect to a host; returns what came behind its answer, too.
    pub(super) async fn tunnel(&self, host: &str, port: u16) -> io::Result<(TcpStream, Vec<u8>)> {
        let mut stream = self.connect().await?;
        let target = format!("{host}:{port}");
        let head = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{}\r\n", self.authorization());
        stream.write_all(head.as_bytes()).await?;
        let (head, rest) = read_head(&mut stream).await?;
        let status = head.split(|byte| *byte == b' ').nth(1).and_then(|status| str::from_utf8(status).ok());
        match status.map(str::trim_end) {
            Some(ESTABLISHED) => Ok((stream, rest)),
            Some(status) => Err(io::Error::other(format!("the proxy of this host answers {status}"))),
            None => Err(io::Error::other("the proxy of this host does not answer as one")),
        }
    }

    /// Shows the line of the header by which the proxy knows this host, where it wants one.
    pub(super) fn authorization(&self) -> impl Display {
        fmt::from_fn(|f| match &self.authorization {
            Some(value) => write!(f, "proxy-authorization: {}\r\n", value.expose()),
            None => Ok(()),
        })
    }
}

/// Reads an address such as `http://proxy.lan:3128`, or with `user:password@`; the scheme may be left out.
impl FromStr for ParentProxy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "must be of the form http://host:port or http://user:password@host:port";
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&text).map_err(|_| FORM)?;
        if url.scheme() != "http" || url.path() != "/" || url.query().or(url.fragment()).is_some() {
            return Err(FORM);
        }
        let (user, password) = (url.username(), url.password().unwrap_or_default());
        let authorization = (!user.is_empty() || !password.is_empty()).then(|| {
            let decoded = [&*percent_decode(user), b":", &*percent_decode(password)].concat();
            Secret::new(format!("Basic {}", STANDARD.encode(decoded)))
        });
        let host = url.host_str().ok_or(FORM)?.to_owned();
        Ok(Self { host, port: url.port().unwrap_or(HTTP), authorization })
    }
}

/// Reads what other programs read too, so it is never at fault: what is no name or network is that of no registry.
impl FromStr for Direct {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        if let Some(network) = text.parse().ok().or_else(|| bare(text).parse().ok().map(IpAddr::into)) {
            return Ok(Self::Network(network));
        }
        let (host, port) = match text.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) => (host, Some(port)),
            _ => (text, None),
        };
        let name = bare(host).trim_start_matches('*').trim_start_matches('.');
        Ok(Self::Host(name.to_ascii_lowercase(), port))
    }
}

/// Takes the brackets from an address of IPv6.
pub(super) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn percent_decode(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

#[cfg(test)]
mod tests {
    use slipway_config::Settings;

    use super::*;

    fn proxies(pairs: &[(&str, &str)]) -> Result<ParentProxies, String> {
        let settings = Settings::from_pairs(pairs.iter().copied());
        let mut reader = Reader::new(&settings);
        let proxies = ParentProxies::read(&mut reader);
        reader.finish().map(|()| proxies).map_err(|faults| faults.to_string())
    }

    #[test]
    fn tunnels_and_plain_requests_may_lead_through_different_proxies_or_none() {
        let both = proxies(&[("HTTPS_PROXY", "http://a.lan:3128/"), ("HTTP_PROXY", "b.lan")]).unwrap();
        let place = |proxy: Option<&ParentProxy>| proxy.map(|proxy| (proxy.host.clone(), proxy.port));
        assert_eq!(place(both.of_tunnels("r.example", 443)), Some(("a.lan".to_owned(), 3128)));
        assert_eq!(place(both.of_requests("r.example", 80)), Some(("b.lan".to_owned(), 80)));
        let none = proxies(&[]).unwrap();
        assert!(none.of_tunnels("r.example", 443).is_none() && none.of_requests("r.example", 80).is_none());
    }

    #[test]
    fn what_no_proxy_names_is_reached_without_one() {
        let direct = "lan, .example.org ,Mirror.example.com:8081, 10.0.0.0/8, ::1, bad entry/";
        let some = proxies(&[("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", direct)]).unwrap();
        for (host, port) in [
            ("mirror.lan", 443),
            ("lan", 443),
            ("a.b.example.org", 443),
            ("mirror.example.com", 8081),
            ("10.9.8.7", 443),
            ("[::1]", 443),
        ] {
            assert!(some.of_tunnels(host, port).is_none(), "{host}:{port}");
        }
        for (host, port) in [
            ("mirrorlan", 443),
            ("example.com", 443),
            ("mirror.example.com", 443),
            ("11.0.0.1", 443),
            ("[::2]", 443),
        ] {
            assert!(some.of_tunnels(host, port).is_some(), "{host}:{port}");
        }
        let all = proxies(&[("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", "*")]).unwrap();
        assert!(all.of_tunnels("r.example", 443).is_none());
    }

    #[test]
    fn a_proxy_is_shown_its_password_and_nobody_else() {
        let proxy: ParentProxy = "http://ada:p%40ss@proxy.lan:3128".parse().unwrap();
        let expected = format!("proxy-authorization: Basic {}\r\n", STANDARD.encode("ada:p@ss"));
        assert_eq!(proxy.authorization().to_string(), expected);
        assert!(!format!("{proxy:?}").contains("Basic"), "{proxy:?}");
        let proxy: ParentProxy = "[fd00::1]:3128".parse().unwrap();
        assert_eq!((proxy.authorization().to_string(), proxy.host.as_str()), (String::new(), "[fd00::1]"));
        for bad in ["https://proxy.lan", "socks5://secret@proxy.lan", "http://", "http://a b", "http://a/b"] {
            let fault = proxies(&[("HTTPS_PROXY", bad)]).unwrap_err();
            assert!(fault.starts_with("HTTPS_PROXY cannot be read: must be of the form"), "{bad}: {fault}");
            assert!(!fault.contains("secret"), "{fault}");
        }
    }
}
