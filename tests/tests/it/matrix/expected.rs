use slipway_models::auth::UserType;
use slipway_models::permissions::Permission;

use super::callers::{Caller, Standing};
use super::facts::{Object, Route, Who};

/// What a call comes to, as far as it is about who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The service does what is asked, or says what else is wrong with it.
    Admitted,
    /// 401
    Unauthenticated,
    /// 403
    Forbidden,
    /// 404: for this caller it does not exist.
    NotThere,
}

impl Expected {
    pub(crate) fn is_met(self, status: u16, code: &str) -> bool {
        match self {
            Self::Admitted => {
                let is_refused = matches!(status, 401 | 403 | 404 | 405 | 429);
                !is_refused && status < 500
            }
            Self::Unauthenticated => status == 401 && matches!(code, "unauthenticated" | "token_revoked"),
            Self::Forbidden => {
                status == 403 && matches!(code, "forbidden" | "app_not_granted" | "insufficient_scope")
            }
            Self::NotThere => status == 404 && code == "not_found",
        }
    }
}

/// Derives what comes of a route for a kind of caller.
pub(crate) fn expected(route: &Route, caller: &Caller) -> Expected {
    match route.who {
        Who::Everyone => return Expected::Admitted,
        Who::Inside => return Expected::NotThere,
        _ if caller.standing != Standing::SignedIn => return Expected::Unauthenticated,
        // A key is for apps alone, as far as its scopes reach there.
        Who::SignedIn | Who::Permitted(_) if caller.key.is_some() => return Expected::Forbidden,
        Who::App(app) if !caller.has_apps || !caller.reaches(app, route.reach()) => {
            return Expected::Forbidden;
        }
        // A caller who lacks the app or the scope is taken for anybody: for them it is to sign in.
        Who::Trigger(app) if !caller.has_apps || !caller.reaches(app, route.reach()) => {
            return Expected::Unauthenticated;
        }
        Who::Permitted(permission) if !permission.is_held_by(caller.user_type) => return Expected::Forbidden,
        Who::SignedIn | Who::App(_) | Who::Trigger(_) | Who::Permitted(_) => {}
    }
    let is_theirs = match route.object {
        Object::None => true,
        Object::Owners => caller.owns,
        Object::OwnersOrManaged => caller.owns || manages_people(caller.user_type),
    };
    if is_theirs { Expected::Admitted } else { Expected::NotThere }
}

fn manages_people(user_type: UserType) -> bool {
    Permission::ManageUsers.is_held_by(user_type)
}
