//! The only place with queries. Every one of a tenant's rows names its owner.

pub(crate) mod async_runs;
pub(crate) mod deleted_owners;
pub(crate) mod deployments;
pub(crate) mod executions;
pub(crate) mod functions;
pub(crate) mod log_lines;
pub(crate) mod owner_handles;
pub(crate) mod rollups;
pub(crate) mod secrets;
pub(crate) mod signing_keys;
mod stored;
