use std::fmt;
use std::str::FromStr;

use lettre::AsyncSmtpTransport;
use lettre::Tokio1Executor;
use lettre::message::Mailbox;
use slipway_config::{Reader, Secret};
use url::{Host, Url};

/// Where letters go, and whom they are from.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The server.
    pub server: SmtpUrl,
    /// The sender.
    pub from: Sender,
}

impl MailConfig {
    /// Reads `SMTP_URL`, which may be absent, and `MAIL_FROM`, which then may be too.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let server = reader.optional("SMTP_URL");
        let from = reader.optional("MAIL_FROM");
        if server.is_some() && from.is_none() {
            reader.refuse("MAIL_FROM", "is not set, though SMTP_URL is");
        }
        Some(Self { server: server?, from: from? })
    }
}

/// The address of an SMTP server. It may hold a password, so it never prints.
#[derive(Clone)]
pub struct SmtpUrl(Secret);

impl SmtpUrl {
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromStr for SmtpUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let fault = "expected smtps://host:port or smtp://host:port, with a user and a password where they are asked for";
        let mut url = Url::parse(text).map_err(|_| fault)?;
        let is_plain = match url.scheme() {
            "smtp" => is_this_machine(&url),
            "smtps" => false,
            _ => return Err(fault),
        };
        let has_path = !matches!(url.path(), "" | "/");
        if url.host_str().is_none_or(str::is_empty) || has_path || url.query().is_some() {
            return Err(fault);
        }
        if url.scheme() == "smtp" && !is_plain {
            url.set_query(Some("tls=required"));
        }
        AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(|_| fault)?;
        Ok(Self(Secret::new(String::from(url))))
    }
}

fn is_this_machine(url: &Url) -> bool {
    // Hosts of a scheme that is not the web's are not parsed as addresses.
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name == "127.0.0.1",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmtpUrl(..)")
    }
}

/// Whom letters are from: an address, with or without a name.
#[derive(Debug, Clone)]
pub struct Sender(pub(crate) Mailbox);

impl FromStr for Sender {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        text.parse().map(Self).map_err(|_| "expected an address, as in Slipway <slipway@example.org>")
    }
}

#[cfg(test)]
mod tests {
    use slipway_config::Settings;

    use super::*;

    #[test]
    fn only_this_machine_is_written_to_without_tls_and_no_password_is_shown() {
        for (text, tls) in [
            ("smtp://127.0.0.1:2525", None),
            ("smtp://localhost", None),
            ("smtp://[::1]:25", None),
            ("smtp://mail.example.org:587", Some("tls=required")),
            ("smtps://slipway:hunter2@mail.example.org", None),
        ] {
            let url: SmtpUrl = text.parse().unwrap();
            assert_eq!(Url::parse(url.expose()).unwrap().query(), tls, "{text}");
            assert_eq!(format!("{url:?}"), "SmtpUrl(..)");
        }
        for bad in [
            "",
            "mail.example.org",
            "http://hunter2@mail.example.org",
            "smtp://",
            "smtp://mail.example.org/x",
            "smtp://mail.example.org?tls=opportunistic",
        ] {
            let fault = bad.parse::<SmtpUrl>().unwrap_err();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn a_server_asks_for_a_sender() {
        let faults = |pairs: &[(&str, &str)]| {
            let settings = Settings::from_pairs(pairs.iter().copied());
            let mut reader = Reader::new(&settings);
            let read = MailConfig::read(&mut reader);
            (read.is_some(), reader.finish().err().map(|faults| faults.to_string()).unwrap_or_default())
        };
        let server = ("SMTP_URL", "smtp://localhost:25");
        assert_eq!(faults(&[]), (false, String::new()));
        assert_eq!(faults(&[server]), (false, "MAIL_FROM is not set, though SMTP_URL is".to_owned()));
        assert_eq!(faults(&[server, ("MAIL_FROM", "Slipway <slipway@example.org>")]), (true, String::new()));
        let (is_read, fault) = faults(&[server, ("MAIL_FROM", "nobody")]);
        assert!(!is_read && fault.starts_with("MAIL_FROM cannot be read"), "{fault}");
    }
}
