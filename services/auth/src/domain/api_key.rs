use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use slipway_kernel::{ApiKeyId, UserId};
use slipway_models::api_keys::{ApiKeyBody, CreateApiKeyRequest, Scope};

use super::FieldFaults;

/// How many keys that have not ended somebody may have.
pub(crate) const MAX_API_KEYS: i64 = 50;

/// How long a key lives where nothing is said.
const USUAL_LIFETIME: TimeDelta = TimeDelta::days(90);
/// How long it may live. A leap year is a year too.
const LONGEST_LIFETIME: TimeDelta = TimeDelta::days(366);
const MAX_NAME: usize = 100;

/// HMAC-SHA-256 of a key's fingerprint.
pub(crate) type ApiKeyDigest = [u8; 32];

/// A key that a program shows in the place of its owner's access token.
#[derive(Debug, Clone)]
pub(crate) struct ApiKey {
    pub(crate) id: ApiKeyId,
    pub(crate) owner: UserId,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
}

/// What somebody wants a new key to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WantedApiKey {
    pub(crate) name: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) expires_at: DateTime<Utc>,
}

impl WantedApiKey {
    /// Reads a request.
    pub(crate) fn read(request: CreateApiKeyRequest, now: DateTime<Utc>) -> Result<Self, FieldFaults> {
        let mut faults = FieldFaults::default();
        let name = request.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            faults.add("/name", format!("must be 1 to {MAX_NAME} characters that can be seen"));
        }
        let scopes: BTreeSet<Scope> = request.scopes.into_iter().collect();
        if scopes.is_empty() {
            faults.add("/scopes", "must name one scope or more: a key without any could do nothing");
        }
        let expires_at = request.expires_at.unwrap_or(now + USUAL_LIFETIME);
        if expires_at <= now || expires_at > now + LONGEST_LIFETIME {
            faults.add("/expires_at", "must be a time to come, at most a year ahead");
        }
        if faults == FieldFaults::default() {
            Ok(Self { name, scopes: scopes.into_iter().collect(), expires_at })
        } else {
            Err(faults)
        }
    }
}

impl From<ApiKey> for ApiKeyBody {
    fn from(key: ApiKey) -> Self {
        let ApiKey { id, name, prefix, scopes, created_at, expires_at, last_used_at, .. } = key;
        Self { id, name, prefix, scopes, created_at, expires_at, last_used_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        name: &str,
        scopes: &[Scope],
        expires_in: Option<TimeDelta>,
    ) -> Result<WantedApiKey, Vec<String>> {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let expires_at = expires_in.map(|after| now + after);
        let request = CreateApiKeyRequest { name: name.to_owned(), scopes: scopes.to_vec(), expires_at };
        let pointers = |faults: FieldFaults| faults.fields.into_iter().map(|fault| fault.pointer).collect();
        WantedApiKey::read(request, now).map_err(pointers)
    }

    #[test]
    fn a_key_has_a_name_each_scope_once_and_an_end() {
        let (read_all, write) = (Scope::VaultRead, Scope::FunctionsWrite);
        let key = read("  ci ", &[read_all, write, read_all], None).unwrap();
        assert_eq!((key.name.as_str(), key.scopes), ("ci", vec![write, read_all]));
        assert_eq!(key.expires_at, DateTime::UNIX_EPOCH + TimeDelta::days(20_090));
        assert!(read("ci", &[write], Some(TimeDelta::days(366))).is_ok());
    }

    #[test]
    fn what_is_wrong_with_a_wanted_key_is_named_all_at_once() {
        let day = TimeDelta::days(1);
        assert_eq!(read(" ", &[], Some(-day)).unwrap_err(), ["/name", "/scopes", "/expires_at"]);
        assert_eq!(read(&"x".repeat(101), &[Scope::TasksRead], None).unwrap_err(), ["/name"]);
        assert_eq!(read("a\u{7}", &[Scope::TasksRead], None).unwrap_err(), ["/name"]);
        let late = LONGEST_LIFETIME + TimeDelta::seconds(1);
        assert_eq!(read("ci", &[Scope::TasksRead], Some(late)).unwrap_err(), ["/expires_at"]);
    }
}
