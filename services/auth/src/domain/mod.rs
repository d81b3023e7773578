//! What accounts and sessions are, and the rules they keep. No I/O.

mod audit;
mod email;
mod field_faults;
mod handle;
mod letter;
mod link;
mod new_account;
mod password;
mod people;
mod profile;
mod proof;
mod registration;
mod registration_rules;
mod session;
mod session_details;
mod user;
mod well_known;

pub(crate) use audit::{AuditFilter, AuditRow, RowHash, Tip, fault};
pub(crate) use email::Email;
pub(crate) use field_faults::FieldFaults;
pub(crate) use handle::Handle;
pub(crate) use letter::{LetterKind, LetterOrder};
pub(crate) use link::{LinkPurpose, LinkToken, PublicUrl};
pub(crate) use new_account::NewAccount;
pub(crate) use password::{BrokenRule, Password, PasswordPolicy};
pub(crate) use people::{LOOKUP_LENGTH, Prefix, Standing, UserFilter};
pub(crate) use profile::{Profile, check_full_name};
pub(crate) use proof::{ClientKdf, GivenProof, NewProof, Proof, ProofPointers};
pub(crate) use registration::Registration;
pub(crate) use registration_rules::{RegistrationMode, RegistrationRules};
pub(crate) use session::{RefreshToken, Session};
pub(crate) use session_details::SessionDetails;
pub(crate) use user::{Login, NewUser, User, Username};
