use slipway_audit::{Action, Event};
use slipway_db::{Database, DbError};
use slipway_kernel::{Origin, SharedClock, UserId};
use slipway_models::audit::AuditActor;
use slipway_models::auth::UserType;

use crate::domain::{ClientKdf, Email, Handle, NewUser, Registration, User};
use crate::error::AuthError;
use crate::service::Passwords;
use crate::store;
use crate::store::users::{EMAIL_KEY, HANDLE_KEY, USERNAME_KEY};

/// How many handles are tried before the numbers are given up on.
const HANDLE_ATTEMPTS: u32 = 100;

/// Makes and finds accounts.
#[derive(Clone)]
pub(crate) struct Accounts {
    db: Database,
    passwords: Passwords,
    clock: SharedClock,
}

impl Accounts {
    pub(crate) fn new(db: Database, passwords: Passwords, clock: SharedClock) -> Self {
        Self { db, passwords, clock }
    }

    /// Makes an account: for whoever asks for one from `origin`, or for the platform itself.
    pub(crate) async fn register(
        &self,
        registration: Registration,
        user_type: UserType,
        origin: Option<Origin>,
    ) -> Result<User, AuthError> {
        let hash = self.passwords.hash(self.passwords.turn()?, &registration.proof).await?;
        let source = NewUser::handle_source(registration.username.as_ref(), &registration.email);
        let mut user = NewUser {
            id: UserId::generate(),
            handle: Handle::from_name(&source, 0),
            email: registration.email,
            username: registration.username,
            full_name: registration.full_name,
            password_hash: hash,
            kdf: registration.proof.kdf(),
            user_type,
            created_at: self.clock.now(),
        };
        for attempt in 0..HANDLE_ATTEMPTS {
            user.handle = Handle::from_name(&source, attempt);
            match self.insert(user.clone(), origin.clone()).await {
                Err(taken) if taken.violates(HANDLE_KEY) => {}
                Err(taken) if taken.violates(EMAIL_KEY) => return Err(AuthError::EmailTaken),
                Err(taken) if taken.violates(USERNAME_KEY) => return Err(AuthError::UsernameTaken),
                inserted => return Ok(inserted?),
            }
        }
        user.handle = Handle::from_id(user.id);
        Ok(self.insert(user, origin).await?)
    }

    /// Finds the account of an id.
    pub(crate) async fn find(&self, id: UserId) -> Result<Option<User>, AuthError> {
        self.db.run("user.find", move |connection| Ok(store::users::find(connection, id)?)).await
    }

    /// Tells how the client of an account derives. Where it is no blind account, or none at all, that is made up.
    pub(crate) async fn kdf(&self, email: Email) -> Result<ClientKdf, AuthError> {
        let made_up = self.passwords.made_up_kdf(&email);
        let known = self
            .db
            .run("user.find_kdf", move |connection| {
                store::users::find_kdf(connection, &email).map_err(AuthError::from)
            })
            .await?;
        Ok(known.unwrap_or(made_up))
    }

    async fn insert(&self, user: NewUser, origin: Option<Origin>) -> Result<User, DbError> {
        self.db
            .transaction("user.insert", move |connection| {
                let made = store::users::insert(connection, &user)?;
                slipway_audit::record(connection, account_made(&user, origin.as_ref()))?;
                Ok(made)
            })
            .await
    }
}

fn account_made(user: &NewUser, origin: Option<&Origin>) -> Event {
    let event = if let Some(origin) = origin {
        Event::new(Action::REGISTER, AuditActor::Anonymous, user.created_at).from(origin)
    } else {
        let platform = AuditActor::Service { id: "auth".to_owned() };
        Event::new(Action::SUPERUSER_CREATE, platform, user.created_at)
    };
    event.on("user", &user.id).with("user_type", user.user_type.as_str())
}
