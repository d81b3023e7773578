use std::str::FromStr;

use slipway_models::auth::UserStatus;

/// Who may make an account, and when it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RegistrationRules {
    pub(crate) mode: RegistrationMode,
    /// Whether people have to show first that their address is theirs.
    pub(crate) email_verification: bool,
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegistrationMode {
    /// Everyone.
    Open,
    /// Everyone, but an admin has to approve.
    Approval,
    /// Nobody.
    Closed,
}

impl RegistrationMode {
    /// Returns where a new account stands.
    pub(crate) const fn first_status(self) -> UserStatus {
        match self {
            Self::Open => UserStatus::Active,
            Self::Approval | Self::Closed => UserStatus::Pending,
        }
    }
}

impl FromStr for RegistrationMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "open" => Ok(Self::Open),
            "approval" => Ok(Self::Approval),
            "closed" => Ok(Self::Closed),
            _ => Err("expected open, approval or closed"),
        }
    }
}
