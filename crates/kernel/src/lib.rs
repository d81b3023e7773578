//! What every crate of Slipway shares and nothing more: typed ids, the clock, keyset pages and the codes of
//! errors. It does no I/O and depends on nothing of ours.

mod clock;
mod code;
mod id;
mod origin;
mod page;

pub use clock::{Clock, FixedClock, SharedClock, SystemClock};
pub use code::ErrorCode;
pub use id::{
    ApiKeyId, AuditEventId, DeploymentId, ExecutionId, FunctionId, GroupId, InstanceId, InvalidId, LetterId,
    LogLineId, RequestId, SecretId, SessionId, SigningKeyId, TokenId, UserId,
};
pub use origin::{Origin, SealedAddress};
pub use page::{Cursor, InvalidPage, Page, PageRequest};
