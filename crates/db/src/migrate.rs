use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::migration::MigrationSource;
use diesel::pg::{Pg, PgConnection};
use diesel::{Connection as _, ConnectionError};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use slipway_config::Secret;

use crate::url;

/// The tables that this crate itself keeps in each service's database.
const SHARED: EmbeddedMigrations = embed_migrations!("migrations");

/// Any number, as long as every migrating process takes the same.
const LOCK: i64 = 0x0051_1b3a;

/// How long the server may take to accept the owner's connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Says why a database could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The owner cannot connect.
    #[error("cannot connect to migrate: {0}")]
    Connect(#[from] ConnectionError),
    /// The lock that keeps two processes from migrating at once was not had.
    #[error("cannot take the migration lock: {0}")]
    Lock(#[from] diesel::result::Error),
    /// A migration failed; those before it took effect.
    #[error("a migration failed: {0}")]
    Run(Box<dyn std::error::Error + Send + Sync>),
}

/// Brings the database of `owner_url` up to date: first this crate's own tables, then the service's. Processes that
/// do so at the same time wait for each other. Blocking; returns the names of the migrations that it ran.
pub fn migrate<S: MigrationSource<Pg>>(
    owner_url: &Secret,
    service: S,
) -> Result<Vec<String>, MigrationError> {
    let mut connection = PgConnection::establish(url::bounded(owner_url, CONNECT_WITHIN).expose())?;
    connection.batch_execute(&format!("SET lock_timeout = '60s'; SELECT pg_advisory_lock({LOCK})"))?;
    let mut names = run_pending(&mut connection, SHARED)?;
    names.extend(run_pending(&mut connection, service)?);
    connection.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})"))?;
    Ok(names)
}

fn run_pending<S: MigrationSource<Pg>>(
    connection: &mut PgConnection,
    source: S,
) -> Result<Vec<String>, MigrationError> {
    let versions = connection.run_pending_migrations(source).map_err(MigrationError::Run)?;
    Ok(versions.iter().map(ToString::to_string).collect())
}
