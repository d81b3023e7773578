//! The door to PostgreSQL, on a real one.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod database;
mod idempotency;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

/// A table to try things on.
const MIGRATIONS: EmbeddedMigrations = embed_migrations!("tests/migrations");
