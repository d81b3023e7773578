//! Where a browser's request comes from (RFC 6454), as far as it counts for cookies.

use std::str::FromStr;
use std::sync::Arc;

use http::uri::Authority;

use super::host;

/// An origin of http or https, as browsers write it: in lower case, without a port that goes without saying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(String);

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let fault = "must be an origin as browsers write it, such as https://console.example.org";
        let text = text.to_ascii_lowercase();
        let (rest, usual_port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (rest, ":443"),
            (_, Some(rest)) => (rest, ":80"),
            _ => return Err(fault),
        };
        let is_bare = !rest.contains(['@', '/', '*', '?', '#']) && !rest.ends_with(usual_port);
        if is_bare && rest.parse::<Authority>().is_ok() { Ok(Self(text)) } else { Err(fault) }
    }
}

/// The origins whose pages may use cookies: the platform's own host, and those that are set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins(Arc<[Origin]>);

/// What a request's `Origin` comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// There is none: it comes from no browser, or changes nothing.
    Absent,
    /// Its pages may use cookies.
    Allowed,
    /// Another site's, or one that a browser does not tell.
    Foreign,
}

impl Origins {
    /// Allows these beside the own host.
    pub(crate) fn new(set: &[Origin]) -> Self {
        Self(set.into())
    }

    /// Judges the `Origin` headers of a request for `host`.
    ///
    /// The own host is that of the request, over TLS; without TLS only on this machine, where no cookie can be read on
    /// its way. A host name that leads here by somebody else's doing has none of the platform's cookies.
    pub(crate) fn judge<'a>(&self, mut given: impl Iterator<Item = &'a [u8]>, host: Option<&str>) -> Judged {
        let Some(origin) = given.next() else { return Judged::Absent };
        let origin = str::from_utf8(origin).unwrap_or_default();
        let is_own = host.is_some_and(|asked| {
            let asked = asked.to_ascii_lowercase();
            origin.strip_prefix("https://") == Some(&asked)
                || host::is_this_machine(&asked) && origin.strip_prefix("http://") == Some(&asked)
        });
        let is_set = self.0.iter().any(|allowed| allowed.0 == origin);
        if given.next().is_none() && (is_own || is_set) { Judged::Allowed } else { Judged::Foreign }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(origin: &str, host: &str) -> Judged {
        let origins = Origins::new(&["https://console.example.org".parse().unwrap()]);
        origins.judge(std::iter::once(origin.as_bytes()), Some(host))
    }

    #[test]
    fn pages_of_the_own_host_and_of_those_that_are_set_are_allowed() {
        for (origin, host) in [
            ("https://slipway.example.org", "slipway.example.org"),
            ("https://slipway.example.org:8443", "Slipway.example.org:8443"),
            ("https://console.example.org", "slipway.example.org"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://localhost:8080", "localhost:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(judge(origin, host), Judged::Allowed, "{origin} at {host}");
        }
    }

    #[test]
    fn all_others_are_foreign_however_like_they_look() {
        for origin in [
            "null",
            "",
            "http://slipway.example.org",
            "http://console.example.org",
            "https://slipway.example.org:444",
            "https://slipway.example.org.",
            "https://slipway.example.org.evil.example",
            "https://evil.example/slipway.example.org",
            "https://console.example.org:443",
            "https://a.console.example.org",
            "HTTPS://console.example.org",
            "https://console.example.org ",
        ] {
            assert_eq!(judge(origin, "slipway.example.org"), Judged::Foreign, "{origin}");
        }
    }

    #[test]
    fn without_an_origin_there_is_none_and_two_are_foreign() {
        let origins = Origins::default();
        assert_eq!(origins.judge(std::iter::empty(), Some("a.example")), Judged::Absent);
        let two = [b"https://a.example".as_slice(), b"https://a.example".as_slice()];
        assert_eq!(origins.judge(two.into_iter(), Some("a.example")), Judged::Foreign);
        assert_eq!(origins.judge(two.into_iter().take(1), None), Judged::Foreign);
    }

    #[test]
    fn what_is_set_must_be_an_origin_as_browsers_write_it() {
        assert!("https://Console.example.org:8443".parse::<Origin>().is_ok());
        for bad in [
            "",
            "*",
            "null",
            "console.example.org",
            "https://*.example.org",
            "https://a.example/",
            "https://a.example:443",
            "http://a.example:80",
            "ftp://a.example",
            "https://u@a.example",
            "https://",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
