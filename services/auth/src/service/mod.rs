//! The use cases: each opens its own transaction, and no network call happens inside one.

mod accounts;
mod api_keys;
mod audit;
mod grants;
mod groups;
mod letters;
mod limits;
mod link_tokens;
mod password_changes;
mod passwords;
mod people;
mod profiles;
mod purge;
mod recovery;
mod revocations;
mod rotation;
mod session_details;
mod sessions;
mod signing_keys;
mod superuser;
#[cfg(test)]
pub(crate) mod tests;
mod token_operations;
mod tokens;

pub(crate) use accounts::{Accounts, Registered};
pub(crate) use api_keys::ApiKeys;
pub(crate) use audit::{AuditLog, AuditSettings};
pub(crate) use grants::Grants;
pub(crate) use groups::Groups;
pub(crate) use letters::{Delivery, LetterSender, LetterSettings, Letters};
pub(crate) use limits::{Asker, Limited, Limits, Networks};
pub(crate) use link_tokens::LinkTokens;
pub(crate) use password_changes::PasswordChanges;
pub(crate) use passwords::{HashingOutcomes, HashingSettings, Passwords};
pub(crate) use people::{By, People};
pub(crate) use profiles::{AccountChange, Profiles};
pub(crate) use purge::Purge;
pub(crate) use recovery::Recovery;
pub(crate) use revocations::Revocations;
pub(crate) use session_details::DetailsSeal;
pub(crate) use sessions::Sessions;
pub(crate) use signing_keys::FollowedKeys;
pub(crate) use superuser::{Superuser, ensure_superuser};
pub(crate) use token_operations::TokenOperations;
pub(crate) use tokens::Tokens;
