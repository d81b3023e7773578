use slipway_db::Database;

use crate::domain::{Email, NewProof, Password, Registration, Username};
use crate::error::AuthError;
use crate::service::Accounts;
use crate::service::passwords::random_password;
use crate::store;

/// Who runs the platform at first.
#[derive(Debug, Clone)]
pub(crate) struct Superuser {
    pub(crate) username: Username,
    pub(crate) email: Email,
    pub(crate) password: Option<Password>,
}

/// Makes the first superuser where there is none. A password that was not given is made up and shown, on standard error
/// beside the log: it is for the person who starts the service.
///
/// It is shown before the account is made. A process that is killed in between leaves a password that opens nothing,
/// and the next start shows another; the other way round it would leave an account that nobody can open.
pub(crate) async fn ensure_superuser(
    db: &Database,
    accounts: &Accounts,
    superuser: Superuser,
) -> Result<(), AuthError> {
    if admin_exists(db).await? {
        return Ok(());
    }
    let Superuser { username, email, password } = superuser;
    let is_given = password.is_some();
    let password = password.map_or_else(random_password, Ok)?;
    if !is_given {
        eprintln!(
            "The first superuser is {}, with the password {} (it is not shown again).",
            username.as_str(),
            password.expose()
        );
    }
    let proof = NewProof::Password(password);
    let registration = Registration { email, proof, username: Some(username), full_name: None };
    match accounts.make_superuser(registration).await {
        // Another replica was faster. An account that runs nothing must not pass for it.
        Err(AuthError::EmailTaken | AuthError::UsernameTaken) if admin_exists(db).await? => {
            if !is_given {
                eprintln!(
                    "Another process was faster: its superuser stands, and the password above opens nothing."
                );
            }
            Ok(())
        }
        made => made,
    }
}

async fn admin_exists(db: &Database) -> Result<bool, AuthError> {
    db.run("user.admin_exists", |connection| store::users::admin_exists(connection).map_err(AuthError::from))
        .await
}
