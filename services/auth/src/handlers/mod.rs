//! One endpoint a file.

mod jwks;
mod login;
mod logout;
mod me;
mod refresh;
mod register;
mod revocations;

pub(crate) use jwks::*;
pub(crate) use login::*;
pub(crate) use logout::*;
pub(crate) use me::*;
pub(crate) use refresh::*;
pub(crate) use register::*;
pub(crate) use revocations::*;
