use slipway_db::{Database, DbError};
use slipway_kernel::{SharedClock, UserId};
use slipway_models::auth::UserType;

use crate::domain::{Handle, NewUser, Registration, User};
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

    /// Makes an account.
    pub(crate) async fn register(
        &self,
        registration: Registration,
        user_type: UserType,
    ) -> Result<User, AuthError> {
        let source = NewUser::handle_source(registration.username.as_ref(), &registration.email);
        let mut user = NewUser {
            id: UserId::generate(),
            handle: Handle::from_name(&source, 0),
            email: registration.email,
            username: registration.username,
            full_name: registration.full_name,
            password_hash: self.passwords.hash(registration.password.expose()).await?,
            user_type,
            created_at: self.clock.now(),
        };
        for attempt in 0..HANDLE_ATTEMPTS {
            user.handle = Handle::from_name(&source, attempt);
            match self.insert(user.clone()).await {
                Err(taken) if taken.violates(HANDLE_KEY) => {}
                Err(taken) if taken.violates(EMAIL_KEY) => return Err(AuthError::EmailTaken),
                Err(taken) if taken.violates(USERNAME_KEY) => return Err(AuthError::UsernameTaken),
                inserted => return Ok(inserted?),
            }
        }
        user.handle = Handle::from_id(user.id);
        Ok(self.insert(user).await?)
    }

    /// Finds the account of an id.
    pub(crate) async fn find(&self, id: UserId) -> Result<Option<User>, AuthError> {
        self.db.run("user.find", move |connection| Ok(store::users::find(connection, id)?)).await
    }

    async fn insert(&self, user: NewUser) -> Result<User, DbError> {
        self.db.run("user.insert", move |connection| store::users::insert(connection, &user)).await
    }
}
