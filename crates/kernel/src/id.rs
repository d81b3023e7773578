//! Typed ids: UUIDv7 (RFC 9562), so that they sort by the time they were made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Says that a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} id: expected a UUID")]
pub struct InvalidId {
    kind: &'static str,
}

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "Uuid", try_from = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id, which sorts after those made before it.
            #[expect(clippy::disallowed_methods, reason = "this is the one home of new ids")]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// Returns the id as the database keeps it.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId { kind: $kind })
            }
        }
    )+};
}

typed_id! {
    /// A key that a program shows in the place of a person's access token.
    ApiKeyId = "API key";
    /// One event on the audit trail.
    AuditEventId = "audit event";
    /// One deployed version of a function, or the attempt at one.
    DeploymentId = "deployment";
    /// One run of a function.
    ExecutionId = "execution";
    /// A function.
    FunctionId = "function";
    /// A group of people.
    GroupId = "group";
    /// One container that a function runs in.
    InstanceId = "instance";
    /// A letter on its way.
    LetterId = "letter";
    /// One line of a function's log.
    LogLineId = "log line";
    /// One request, as logs and problem answers name it.
    RequestId = "request";
    /// One secret of a function.
    SecretId = "secret";
    /// A sign-in and the family of tokens that came of it.
    SessionId = "session";
    /// A key that signs calls of one function.
    SigningKeyId = "signing key";
    /// An access token, by its `jti`.
    TokenId = "token";
    /// A person's account.
    UserId = "user";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let first = UserId::generate();
        let second = UserId::generate();
        assert!(first < second);
    }

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = FunctionId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
    }

    #[test]
    fn a_text_that_is_no_id_is_refused_by_kind() {
        let fault = "../etc".parse::<FunctionId>().unwrap_err();
        assert_eq!(fault.to_string(), "not a function id: expected a UUID");
        let fault = serde_json::from_str::<FunctionId>(r#""x""#).unwrap_err();
        assert_eq!(fault.to_string(), "not a function id: expected a UUID");
    }
}
