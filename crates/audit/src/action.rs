//! Every action that is put on the audit trail.

use slipway_models::audit::AuditLevel;

/// Something that a person or a service does and that has to be accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    pub(crate) name: &'static str,
    pub(crate) level: AuditLevel,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $level:ident;)+) => {
        impl Action {
            $($(#[$doc])* pub const $constant: Self = Self { name: $name, level: AuditLevel::$level };)+

            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$constant),+];
        }
    };
}

actions! {
    /// An account was made.
    REGISTER = "auth.register", Info;
    /// Somebody signed in.
    LOGIN = "auth.login", Info;
    /// Somebody tried to sign in and was refused.
    LOGIN_FAILED = "auth.login_failed", Warning;
    /// Somebody ended their session.
    LOGOUT = "auth.logout", Info;
    /// Somebody ended all of their sessions.
    LOGOUT_ALL = "auth.logout_all", Info;
    /// A refresh token was used twice: its session was taken for stolen and ended.
    REFRESH_REUSED = "auth.refresh_reused", Warning;
    /// Somebody changed their password; all of their other sessions ended.
    PASSWORD_CHANGE = "auth.password_change", Info;
    /// Somebody who was signed in tried to change the password and did not know it.
    PASSWORD_CHANGE_FAILED = "auth.password_change_failed", Warning;
    /// Somebody asked for a link to choose a new password, for whatever address.
    PASSWORD_FORGOT = "auth.password_forgot", Info;
    /// Somebody chose a new password by a link; all sessions ended.
    PASSWORD_RESET = "auth.password_reset", Warning;
    /// Somebody showed by a link that an address is theirs.
    EMAIL_VERIFY = "auth.email_verify", Info;
    /// Somebody wanted to make an account for an address that has one.
    REGISTER_KNOWN = "auth.register_known", Info;
    /// Somebody changed their user name or their own.
    ACCOUNT_UPDATE = "auth.account_update", Info;
    /// Somebody changed their profile.
    PROFILE_UPDATE = "auth.profile_update", Info;
    /// An admin changed what somebody may do, disabled their account, or let it in again.
    USER_CHANGE = "auth.user_change", Warning;
    /// An admin made an account for somebody.
    USER_CREATE = "auth.user_create", Warning;
    /// An admin deleted an account.
    USER_DELETE = "auth.user_delete", Warning;
    /// An admin took somebody's password away, and had a link to choose another sent; all sessions ended.
    USER_RESET_PASSWORD = "auth.user_reset_password", Warning;
    /// An admin stated which apps somebody may use.
    USER_APPS = "auth.user_apps", Warning;
    /// Somebody made a group.
    GROUP_CREATE = "group.create", Info;
    /// Somebody called a group something else.
    GROUP_CHANGE = "group.change", Info;
    /// Somebody deleted a group.
    GROUP_DELETE = "group.delete", Info;
    /// Somebody took a person into a group, or changed what the person is in it.
    GROUP_MEMBER_PUT = "group.member_put", Info;
    /// Somebody took a person out of a group, or left it.
    GROUP_MEMBER_REMOVE = "group.member_remove", Info;
    /// An admin stated which apps those may use who belong to a group.
    GROUP_APPS = "group.apps", Warning;
    /// An admin let somebody in who had asked for an account.
    USER_APPROVE = "auth.user_approve", Info;
    /// An admin turned somebody away who had asked for an account.
    USER_REJECT = "auth.user_reject", Info;
    /// Somebody made an API key, which acts for them.
    API_KEY_CREATE = "auth.api_key_create", Warning;
    /// Somebody deleted one of their API keys.
    API_KEY_DELETE = "auth.api_key_delete", Info;
    /// The keys that sign access tokens are others: one was added or removed.
    SIGNING_KEYS = "auth.signing_keys", Warning;
    /// The first superuser was made.
    SUPERUSER_CREATE = "auth.superuser_create", Warning;

    /// A new version of a function was taken in.
    FUNCTION_DEPLOY = "function.deploy", Info;
    /// A version was built and answers the calls of its function.
    FUNCTION_ACTIVATE = "function.activate", Info;
    /// How a function runs was changed.
    FUNCTION_CONFIGURE = "function.configure", Info;
    /// An earlier version answers the calls of its function again.
    FUNCTION_ROLLBACK = "function.rollback", Info;
    /// A function was deleted, with all that belongs to it.
    FUNCTION_DELETE = "function.delete", Info;
    /// A secret of a function was set.
    SECRET_SET = "function.secret_set", Info;
    /// A secret of a function was deleted.
    SECRET_DELETE = "function.secret_delete", Info;
    /// A key that signs calls of a function was made.
    KEY_CREATE = "function.key_create", Info;
    /// A key that signs calls of a function was deleted.
    KEY_DELETE = "function.key_delete", Info;
    /// A run was called off.
    EXECUTION_CANCEL = "execution.cancel", Info;
    /// A run was started again with its input.
    EXECUTION_REPLAY = "execution.replay", Info;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_a_name_of_its_own() {
        for (index, action) in Action::ALL.iter().enumerate() {
            let (thing, verb) = action.name.split_once('.').unwrap();
            let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(is_plain(thing) && is_plain(verb), "{}", action.name);
            assert!(Action::ALL[..index].iter().all(|other| other.name != action.name), "{}", action.name);
        }
    }
}
