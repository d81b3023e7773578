//! The use cases: each opens its own transaction, and no network call happens inside one.

mod accounts;
mod audit;
mod passwords;
mod sessions;
mod superuser;

pub(crate) use accounts::Accounts;
pub(crate) use audit::{AuditLog, AuditSettings};
pub(crate) use passwords::Passwords;
pub(crate) use sessions::Sessions;
pub(crate) use superuser::{Superuser, ensure_superuser};
