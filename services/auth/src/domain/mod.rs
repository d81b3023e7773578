//! What accounts and sessions are, and the rules they keep. No I/O.

mod audit;
mod email;
mod handle;
mod password;
mod registration;
mod session;
mod session_details;
mod user;

pub(crate) use audit::{AuditFilter, AuditRow, RowHash, Tip, fault};
pub(crate) use email::Email;
pub(crate) use handle::Handle;
pub(crate) use password::{BrokenRule, Password};
pub(crate) use registration::{Registration, RegistrationFaults};
pub(crate) use session::{RefreshToken, Session};
pub(crate) use session_details::SessionDetails;
pub(crate) use user::{Login, NewUser, User, Username};
