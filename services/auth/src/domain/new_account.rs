use slipway_models::auth::UserType;
use slipway_models::people::CreateUserRequest;

use super::{Email, FieldFaults, Password, PasswordPolicy, Username, check_full_name};

/// An account that an admin makes, whose every field keeps its rule.
pub(crate) struct NewAccount {
    pub(crate) email: Email,
    /// Without one, its holder chooses it by a link.
    pub(crate) password: Option<Password>,
    pub(crate) username: Option<Username>,
    pub(crate) full_name: Option<String>,
    pub(crate) user_type: UserType,
}

impl NewAccount {
    /// Checks a request; names all that is wrong with it.
    pub(crate) fn check(request: &CreateUserRequest, policy: &PasswordPolicy) -> Result<Self, FieldFaults> {
        let mut faults = FieldFaults::default();
        let email = faults.keep("/email", request.email.parse::<Email>());
        let username = request.username.as_deref().map(str::parse::<Username>).transpose();
        let username = faults.keep("/username", username);
        let full_name = request.full_name.as_deref().map(check_full_name).transpose();
        let full_name = faults.keep("/full_name", full_name);
        let password = request.password.as_deref().map(|text| Password::parse(text, policy)).transpose();
        if let Err(broken) = &password {
            faults.weaken("/password", broken);
        }
        match (email, username, full_name, password) {
            (Some(email), Some(username), Some(full_name), Ok(password)) => {
                Ok(Self { email, password, username, full_name, user_type: request.user_type })
            }
            _ => Err(faults),
        }
    }
}
