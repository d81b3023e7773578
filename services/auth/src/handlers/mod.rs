//! One endpoint a file.

mod audit;
mod browser;
mod change_password;
mod end_session;
mod jwks;
mod login;
mod logout;
mod logout_all;
mod me;
mod password_grant;
mod prelogin;
mod refresh;
mod register;
mod revocations;
mod sessions;
mod take_audit;
mod verify_audit;

pub(crate) use audit::*;
pub(crate) use change_password::*;
pub(crate) use end_session::*;
pub(crate) use jwks::*;
pub(crate) use login::*;
pub(crate) use logout::*;
pub(crate) use logout_all::*;
pub(crate) use me::*;
pub(crate) use prelogin::*;
pub(crate) use refresh::*;
pub(crate) use register::*;
pub(crate) use revocations::*;
pub(crate) use sessions::*;
pub(crate) use take_audit::*;
pub(crate) use verify_audit::*;
