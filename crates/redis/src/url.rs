use std::path::Path;
use std::str::FromStr;
use std::{fmt, fs};

use redis::{Client, IntoConnectionInfo as _, TlsCertificates};
use slipway_config::{Reader, Secret};

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Where Redis is. It may hold a password, so it never prints.
#[derive(Clone)]
pub struct RedisUrl {
    client: Client,
}

impl RedisUrl {
    /// Reads `REDIS_URL`, which may be absent, and `REDIS_CA_FILE`, whose authorities are trusted in the place of the
    /// system's. Blocking.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let url: Self = reader.optional("REDIS_URL")?;
        let Some(file) = reader.optional::<String>("REDIS_CA_FILE") else { return Some(url) };
        match url.trusting(Path::new(&file)) {
            Ok(url) => Some(url),
            Err(fault) => {
                reader.refuse("REDIS_CA_FILE", fault);
                None
            }
        }
    }

    fn trusting(self, file: &Path) -> Result<Self, String> {
        let root_cert = fs::read(file).map_err(|fault| format!("cannot be read: {fault}"))?;
        if !root_cert.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE) {
            return Err("holds no certificate in PEM".to_owned());
        }
        let address = self.client.get_connection_info().clone();
        let certificates = TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
        let client = Client::build_with_tls(address, certificates);
        Ok(Self { client: client.map_err(|fault| format!("cannot be used: {fault}"))? })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

impl FromStr for RedisUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let fault = "expected redis://host:port or rediss://host:port, with a user and a password where they are asked for";
        let text = Secret::new(text.to_owned());
        if !text.expose().starts_with("redis://") && !text.expose().starts_with("rediss://") {
            return Err(fault);
        }
        // What follows would be `insecure`.
        if text.expose().contains('#') {
            return Err(fault);
        }
        let address = text.expose().into_connection_info().map_err(|_| fault)?;
        Ok(Self { client: Client::open(address).map_err(|_| fault)? })
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl(..)")
    }
}

#[cfg(test)]
mod tests {
    use slipway_config::Settings;

    use super::*;

    #[test]
    fn a_url_is_of_redis_and_its_password_is_never_shown() {
        let url: RedisUrl = "redis://slipway:hunter2@127.0.0.1:6379/0".parse().unwrap();
        assert_eq!(format!("{url:?}"), "RedisUrl(..)");
        assert!("rediss://redis.example.org".parse::<RedisUrl>().is_ok());
        for bad in [
            "",
            "127.0.0.1:6379",
            "http://hunter2@127.0.0.1",
            "unix:///run/redis.sock",
            "redis://:x:y",
            "rediss://127.0.0.1/#insecure",
        ] {
            let fault = bad.parse::<RedisUrl>().unwrap_err();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn a_file_of_authorities_holds_certificates_and_is_for_tls() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (url, file, fault) in [
            (
                "rediss://redis.example.org",
                "/nowhere".to_owned(),
                "REDIS_CA_FILE cannot be read: No such file",
            ),
            ("rediss://redis.example.org", write("none", "hunter2"), "REDIS_CA_FILE holds no certificate"),
            ("rediss://redis.example.org", write("broken", broken), "REDIS_CA_FILE cannot be used: "),
            ("redis://redis.example.org", write("plain", broken), "REDIS_CA_FILE cannot be used: "),
        ] {
            let settings = Settings::from_pairs([("REDIS_URL", url), ("REDIS_CA_FILE", &file)]);
            let mut reader = Reader::new(&settings);
            let is_read = RedisUrl::read(&mut reader).is_some();
            let faults = reader.finish().unwrap_err().to_string();
            assert!(!is_read && faults.starts_with(fault), "{faults}");
        }
    }
}
