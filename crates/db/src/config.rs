use std::time::Duration;

use slipway_config::{Reader, Secret};

/// Where a service's database is, and how much of it the service may use.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// The URL of the role that serves. It may not alter tables.
    pub url: Secret,
    /// The URL of the role that owns the tables. Where it is given, migrations run at start.
    pub owner_url: Option<Secret>,
    /// How many connections are held at the most.
    pub pool_size: u32,
    /// How long a query may wait for a connection, and how long the server may work on a statement.
    pub timeout: Duration,
}

impl DatabaseConfig {
    /// Reads `<PREFIX>_DATABASE_URL`, `<PREFIX>_DATABASE_OWNER_URL`, `<PREFIX>_DATABASE_POOL_SIZE` (1 to 200, 8) and
    /// `<PREFIX>_DATABASE_TIMEOUT_MS` (100 to 60,000, 5,000).
    pub fn read(reader: &mut Reader<'_>, prefix: &str) -> Self {
        Self {
            url: reader.required_secret(&format!("{prefix}_DATABASE_URL")),
            owner_url: reader.optional(&format!("{prefix}_DATABASE_OWNER_URL")),
            pool_size: reader.within(&format!("{prefix}_DATABASE_POOL_SIZE"), 8, 1..=200),
            timeout: Duration::from_millis(reader.within(
                &format!("{prefix}_DATABASE_TIMEOUT_MS"),
                5_000,
                100..=60_000,
            )),
        }
    }
}
