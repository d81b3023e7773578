//! The queries. Each takes a connection and is one statement, or says why not.

pub(crate) mod access_revocations;
pub(crate) mod access_tokens;
pub(crate) mod api_keys;
pub(crate) mod apps;
pub(crate) mod audit_log;
pub(crate) mod deleted_users;
pub(crate) mod group_members;
pub(crate) mod groups;
pub(crate) mod letters;
pub(crate) mod link_tokens;
pub(crate) mod people;
pub(crate) mod profiles;
pub(crate) mod refresh_tokens;
pub(crate) mod rotation;
pub(crate) mod sessions;
#[cfg(test)]
mod tests;
pub(crate) mod users;
