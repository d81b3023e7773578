//! The audit trail: what happened, who did it, and whether the log of it is whole.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use slipway_kernel::{AuditEventId, UserId};
use utoipa::ToSchema;

/// What the address of a request is sealed for, on its way to the log.
pub const ORIGIN: &str = "origin";

/// How much an event wants to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditLevel {
    /// Everyday work.
    Info,
    /// What may be an attack, or gives somebody power.
    Warning,
}

impl AuditLevel {
    /// Returns the name as it goes over the wire and into the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
        }
    }

    /// Reads a name as [`AuditLevel::as_str`] writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Info, Self::Warning].into_iter().find(|level| level.as_str() == name)
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum AuditActor {
    /// A person who had signed in.
    User {
        /// The person.
        #[schema(value_type = String, format = Uuid)]
        id: UserId,
    },
    /// One of the platform's services, for work of its own.
    Service {
        /// The service.
        id: String,
    },
    /// Somebody who had not shown who they are.
    Anonymous,
}

/// What something was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditTarget {
    /// What kind of thing it is, such as `function`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which one.
    pub id: String,
}

/// Something that happened. It holds no token, no hash and no password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// The event's own id: one that is told twice is on the log once.
    #[schema(value_type = String, format = Uuid)]
    pub id: AuditEventId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// How much it wants to be looked at.
    pub level: AuditLevel,
    /// What was done.
    #[schema(example = "function.deploy")]
    pub action: String,
    /// Who did it.
    pub actor: AuditActor,
    /// What it was done to.
    pub target: Option<AuditTarget>,
    /// The address that the request came from.
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// The id of the request, as logs and answers have it.
    pub request_id: Option<String>,
    /// What else there is to say.
    #[schema(value_type = Object)]
    pub details: Map<String, Value>,
}

/// `POST /internal/audit`: what a service tells auth, the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditBatch {
    /// What happened.
    pub events: Vec<AuditEvent>,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntryBody {
    /// The row's place: 1, 2, 3 and so on, without gaps.
    pub seq: i64,
    /// The service that told of it.
    pub service: String,
    /// When it came onto the log.
    pub recorded_at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub event: AuditEvent,
    /// The row's hash, which chains it to the one before; hexadecimal.
    pub hash: String,
}

/// The answer to `GET /audit/verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerification {
    /// True where every row is as it was written and none is missing.
    pub valid: bool,
    /// How many rows were found to be good, from the first on.
    pub checked: i64,
    /// The last of these.
    pub head: Option<AuditHead>,
    /// How many signed heads the log was compared with. With none, a tail that was cut is not noticed.
    pub signed_heads: u64,
    /// The first row that is not as it was.
    pub first_bad: Option<AuditFault>,
}

/// A row's place and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// The row.
    pub seq: i64,
    /// Its hash; hexadecimal.
    pub hash: String,
}

/// What is wrong with the log, and from where on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditFault {
    /// The first row at fault.
    pub seq: i64,
    /// What is wrong with it.
    pub reason: AuditFaultReason,
    /// The same in words.
    pub detail: String,
}

/// What can be wrong with a row of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditFaultReason {
    /// It is not what was written, or was not written by auth.
    Changed,
    /// It is not there, though later ones are.
    Missing,
    /// It and all that came after it are not there, though a signed head has them.
    TailCut,
    /// It fits the chain and not the head that was signed of it: the log was written anew.
    Rewritten,
    /// The signed head of it is not as it was signed.
    HeadChanged,
}
