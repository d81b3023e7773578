use slipway_audit::InvalidEvent;
use slipway_db::DbError;
use slipway_jwt::{InvalidFingerprint, KeyError};
use slipway_kernel::ErrorCode;
use slipway_models::problem::FieldError;
use slipway_sealing::SealError;
use slipway_web::Problem;
use slipway_web::http::StatusCode;
use slipway_web::http::header::{HeaderValue, WWW_AUTHENTICATE};

use crate::domain::{FieldFaults, LOOKUP_LENGTH, MAX_API_KEYS};

/// What auth can answer other than what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("the account or the password is wrong")]
    InvalidCredentials,
    #[error("the account waits for an admin's approval")]
    AccountPending,
    #[error("the account is disabled")]
    AccountDisabled,
    #[error("the address is not verified: open the link in the letter that was sent to it")]
    EmailUnverified,
    #[error("nobody can register here: ask an admin for an account")]
    RegistrationClosed,
    #[error("the link does not work: it was used, it is too old, or there is a newer one")]
    InvalidLink,
    #[error("the session has ended: sign in again")]
    RefreshExpired,
    #[error("this refresh token was used before; its session has been ended: sign in again")]
    RefreshReused,
    #[error(
        "the request holds no refresh token, neither in its body nor, for the transport cookie, in a cookie"
    )]
    NoRefreshToken,
    #[error("sign in first: the request carries no identity")]
    NotSignedIn,
    #[error("the account is no more")]
    AccountGone,
    #[error("there is no such session")]
    SessionNotFound,
    #[error("cookies are for pages of this host: the request's origin is not one that is allowed")]
    OriginRefused,
    #[error("grant_type must be password")]
    UnsupportedGrant,
    #[error("there is no such API key")]
    ApiKeyNotFound,
    #[error("there are {MAX_API_KEYS} API keys: delete one first")]
    TooManyApiKeys,
    #[error(transparent)]
    InvalidFingerprint(#[from] InvalidFingerprint),
    #[error("there is an account with this address")]
    EmailTaken,
    #[error("there is an account with this user name")]
    UsernameTaken,
    #[error("there is no such account")]
    UserNotFound,
    #[error("the platform needs an admin: make another one first")]
    LastAdmin,
    #[error("no letters are sent here: there is no SMTP server, and so no link to choose a password by")]
    NoLetters,
    #[error("there is no such group")]
    GroupNotFound,
    #[error("whoever has made {0} groups that are still there makes no more")]
    TooManyGroups(i64),
    #[error("this person does not belong to the group")]
    GroupMemberNotFound,
    #[error("this is for owners of the group")]
    NotGroupOwner,
    #[error("the group states apps: who belongs to it is for those to say who manage people")]
    GroupGrants,
    #[error("the group needs an owner: make somebody else one first")]
    LastOwner,
    #[error("the account does not wait for approval")]
    NotPending,
    #[error("the account waits for approval: approve or reject it")]
    StillPending,
    #[error("query must be {} to {} characters", LOOKUP_LENGTH.start(), LOOKUP_LENGTH.end())]
    InvalidLookup,
    #[error("fields are at fault")]
    Invalid(FieldFaults),
    #[error("name the account by either email or username")]
    AmbiguousLogin,
    #[error(transparent)]
    InvalidAuditEvent(#[from] InvalidEvent),
    #[error("too many sign-ins at once")]
    Overloaded,
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the file of signed heads: {0}")]
    Heads(#[from] std::io::Error),
    #[error("a token cannot be signed: {0}")]
    Signing(#[from] KeyError),
    #[error("a thread that signs failed")]
    SigningFailed,
    #[error("the details of a session cannot be sealed: {0}")]
    Sealing(#[from] SealError),
    #[error("a password cannot be hashed: {0}")]
    Hashing(#[from] bcrypt::BcryptError),
    #[error("a derived hash cannot be hashed: {0}")]
    BlindHashing(#[from] argon2::password_hash::Error),
    #[error("a thread that hashes failed")]
    HashingFailed,
    #[error("the threads that hash do not start: {0}")]
    HashingThreads(std::io::Error),
    #[error("blocking work did not come to its end: {0}")]
    Blocking(#[from] tokio::task::JoinError),
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let detail = error.to_string();
        let unauthorized = |code| {
            Self::new(StatusCode::UNAUTHORIZED, ErrorCode::new(code), &detail)
                .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        };
        let forbidden = |code| Self::new(StatusCode::FORBIDDEN, ErrorCode::new(code), &detail);
        let conflict = |code| Self::new(StatusCode::CONFLICT, ErrorCode::new(code), &detail);
        match error {
            AuthError::InvalidCredentials => unauthorized("invalid_credentials"),
            AuthError::RefreshExpired => unauthorized("refresh_expired"),
            AuthError::RefreshReused => unauthorized("refresh_reused"),
            AuthError::AccountPending => forbidden("account_pending"),
            AuthError::AccountDisabled => forbidden("account_disabled"),
            AuthError::EmailUnverified => forbidden("email_unverified"),
            AuthError::RegistrationClosed => forbidden("registration_closed"),
            AuthError::InvalidLink => {
                Self::validation(vec![FieldError { pointer: "/token".to_owned(), detail }])
                    .coded(ErrorCode::new("invalid_link"))
            }
            AuthError::EmailTaken => conflict("email_taken"),
            AuthError::UsernameTaken => conflict("username_taken"),
            AuthError::LastAdmin => conflict("last_admin"),
            AuthError::NoLetters => conflict("no_letters"),
            AuthError::NotPending => conflict("not_pending"),
            AuthError::StillPending => conflict("account_pending"),
            AuthError::NoRefreshToken | AuthError::InvalidLookup => Self::invalid_request(detail),
            AuthError::NotSignedIn => unauthorized("unauthenticated"),
            AuthError::LastOwner => conflict("last_owner"),
            AuthError::NotGroupOwner | AuthError::GroupGrants => Self::forbidden(detail),
            AuthError::AccountGone
            | AuthError::SessionNotFound
            | AuthError::UserNotFound
            | AuthError::GroupNotFound
            | AuthError::GroupMemberNotFound
            | AuthError::ApiKeyNotFound => Self::not_found(detail),
            AuthError::TooManyApiKeys => {
                Self::validation(vec![FieldError { pointer: String::new(), detail }])
                    .coded(ErrorCode::new("too_many_api_keys"))
            }
            AuthError::OriginRefused => forbidden("origin_refused"),
            AuthError::UnsupportedGrant => {
                Self::new(StatusCode::BAD_REQUEST, ErrorCode::new("unsupported_grant_type"), &detail)
            }
            AuthError::TooManyGroups(_) => {
                Self::validation(vec![FieldError { pointer: String::new(), detail }])
                    .coded(ErrorCode::new("too_many_groups"))
            }
            AuthError::AmbiguousLogin
            | AuthError::InvalidAuditEvent(_)
            | AuthError::InvalidFingerprint(_) => {
                Self::validation(vec![FieldError { pointer: String::new(), detail }])
            }
            AuthError::Invalid(faults) => {
                let problem = Self::validation(faults.fields);
                if faults.weak_password { problem.coded(ErrorCode::new("weak_password")) } else { problem }
            }
            AuthError::Overloaded => {
                let told = "too many sign-ins at once; try again shortly";
                Self::unavailable(error).coded(ErrorCode::new("overloaded")).detailed(told)
            }
            AuthError::Database(cause) if cause.is_transient() => Self::unavailable(cause),
            AuthError::Database(_)
            | AuthError::Heads(_)
            | AuthError::Signing(_)
            | AuthError::SigningFailed
            | AuthError::Sealing(_)
            | AuthError::Hashing(_)
            | AuthError::BlindHashing(_)
            | AuthError::HashingFailed
            | AuthError::HashingThreads(_)
            | AuthError::Blocking(_) => Self::internal(error),
        }
    }
}
