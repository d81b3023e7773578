//! The one door to PostgreSQL: diesel (synchronous) over an r2d2 pool, off the async threads.
//!
//! Every query goes through [`Database::run`] or [`Database::transaction`]. Both take a permit before they take a
//! blocking thread, so that a slow database fills a queue and not the thread pool; both carry the caller's tracing
//! span and are measured under the operation's name. See `proto-docs/adr/0001-sync-diesel-behind-one-door.md`.

mod config;
mod database;
mod error;
mod idempotency;
mod migrate;
mod pool;
mod resealing;
mod schema;
mod url;

pub use config::DatabaseConfig;
pub use database::Database;
/// What the stores' functions take; nobody else needs to name diesel.
pub use diesel::PgConnection;
pub use error::DbError;
pub use idempotency::{
    Begin, IdempotencyKey, InvalidKey, StoredAnswer, abandon, begin, finish, purge_expired,
};
pub use migrate::{MigrationError, migrate};
pub use resealing::{SealedRow, seal_anew};
