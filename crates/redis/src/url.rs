use std::fmt;
use std::str::FromStr;

use redis::{Client, IntoConnectionInfo as _};
use slipway_config::{Reader, Secret};

/// Where Redis is. It may hold a password, so it never prints.
#[derive(Clone)]
pub struct RedisUrl {
    client: Client,
}

impl RedisUrl {
    /// Reads `REDIS_URL`, which may be absent.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.optional("REDIS_URL")
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
    use super::*;

    #[test]
    fn a_url_is_of_redis_and_its_password_is_never_shown() {
        let url: RedisUrl = "redis://slipway:hunter2@127.0.0.1:6379/0".parse().unwrap();
        assert_eq!(format!("{url:?}"), "RedisUrl(..)");
        assert!("rediss://redis.example.org".parse::<RedisUrl>().is_ok());
        for bad in
            ["", "127.0.0.1:6379", "http://hunter2@127.0.0.1", "unix:///run/redis.sock", "redis://:x:y"]
        {
            let fault = bad.parse::<RedisUrl>().unwrap_err();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}
