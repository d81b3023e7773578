use slipway_models::auth::RegisterRequest;
use slipway_models::problem::FieldError;

use super::{BrokenRule, Email, Password, Username};

const MAX_FULL_NAME: usize = 200;

/// A registration whose every field keeps its rule.
pub(crate) struct Registration {
    pub(crate) email: Email,
    pub(crate) password: Password,
    pub(crate) username: Option<Username>,
    pub(crate) full_name: Option<String>,
}

/// All that is wrong with a registration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RegistrationFaults {
    pub(crate) fields: Vec<FieldError>,
    pub(crate) weak_password: bool,
}

impl TryFrom<RegisterRequest> for Registration {
    type Error = RegistrationFaults;

    fn try_from(request: RegisterRequest) -> Result<Self, RegistrationFaults> {
        let mut faults = RegistrationFaults::default();
        let email = faults.keep("/email", request.email.parse::<Email>());
        let username = request.username.map(|name| name.parse::<Username>()).transpose();
        let username = faults.keep("/username", username);
        let full_name =
            faults.keep("/full_name", request.full_name.as_deref().map(check_full_name).transpose());
        let password = Password::parse(&request.password).map_err(|broken| faults.weaken(&broken)).ok();
        match (email, username, full_name, password) {
            (Some(email), Some(username), Some(full_name), Some(password)) => {
                Ok(Self { email, password, username, full_name })
            }
            _ => Err(faults),
        }
    }
}

impl RegistrationFaults {
    fn keep<T>(&mut self, pointer: &str, checked: Result<T, &'static str>) -> Option<T> {
        checked.map_err(|detail| self.add(pointer, detail)).ok()
    }

    fn weaken(&mut self, broken: &[BrokenRule]) {
        self.weak_password = true;
        for rule in broken {
            self.add("/password", rule.detail());
        }
    }

    fn add(&mut self, pointer: &str, detail: &str) {
        self.fields.push(FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() });
    }
}

fn check_full_name(name: &str) -> Result<String, &'static str> {
    let name = name.trim();
    let sound = (1..=MAX_FULL_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if sound { Ok(name.to_owned()) } else { Err("must be 1 to 200 characters on one line") }
}
