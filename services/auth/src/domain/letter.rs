use serde::{Deserialize, Serialize};

use super::LinkPurpose;

/// What a letter is to say, and to whom.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LetterOrder {
    pub(crate) kind: LetterKind,
    pub(crate) email: String,
}

/// What a letter is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LetterKind {
    /// How to show that the address of a new account is its holder's.
    VerifyEmail,
    /// That there is an account with this address already.
    AlreadyRegistered,
    /// How to choose a new password, where there is an account.
    ResetPassword,
    /// That an admin made the account, and how to choose its password.
    AccountMade,
    /// That an admin took the password away, and how to choose a new one.
    ResetByAdmin,
}

impl LetterKind {
    /// Returns what the letter's link is for, where it has one with a token.
    pub(crate) const fn link(self) -> Option<LinkPurpose> {
        match self {
            Self::VerifyEmail => Some(LinkPurpose::VerifyEmail),
            Self::AlreadyRegistered => None,
            Self::ResetPassword | Self::AccountMade | Self::ResetByAdmin => Some(LinkPurpose::ResetPassword),
        }
    }
}
