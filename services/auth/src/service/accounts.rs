use slipway_audit::{Action, Event};
use slipway_db::{Database, PgConnection};
use slipway_kernel::{Origin, SharedClock, UserId};
use slipway_models::audit::AuditActor;
use slipway_models::auth::{UserStatus, UserType};

use crate::domain::{
    ClientKdf, Email, Handle, LetterKind, NewAccount, NewProof, NewUser, Registration, RegistrationMode,
    RegistrationRules, User, Username,
};
use crate::error::AuthError;
use crate::service::letters::Letters;
use crate::service::passwords::random_password;
use crate::service::{By, Passwords};
use crate::store;
use crate::store::users::{EMAIL_KEY, HANDLE_KEYS, USERNAME_KEY};

/// How many handles are tried before the numbers are given up on.
const HANDLE_ATTEMPTS: u32 = 100;

/// Makes and finds accounts.
#[derive(Clone)]
pub(crate) struct Accounts {
    pub(crate) db: Database,
    pub(crate) passwords: Passwords,
    pub(crate) letters: Letters,
    pub(crate) rules: RegistrationRules,
    pub(crate) clock: SharedClock,
}

/// What came of a registration.
pub(crate) enum Registered {
    /// The account.
    Account(Box<User>),
    /// A letter to the address. Who asked learns nothing else.
    Letter,
}

/// Who asks for an account.
#[derive(Clone)]
enum Applicant {
    /// Whoever: a request from there.
    Anybody(Origin),
    /// The platform itself, for its first superuser.
    Platform,
    /// An admin for somebody, who is told by a letter where there is something to do.
    Admin(By, Option<LetterKind>),
}

impl Accounts {
    /// Makes an account for whoever asks for one from `origin`, as far as the rules admit that.
    pub(crate) async fn register(
        &self,
        registration: Registration,
        origin: Origin,
    ) -> Result<Registered, AuthError> {
        if self.rules.mode == RegistrationMode::Closed {
            return Err(AuthError::RegistrationClosed);
        }
        let status = self.rules.mode.first_status();
        let user = self.prepare(registration, UserType::Regular, status).await?;
        let registered = self.insert(user, &Applicant::Anybody(origin)).await?;
        self.letters.announce();
        Ok(registered)
    }

    /// Makes an account for somebody, which can be used at once. Without a password it has one that nobody knows, and a
    /// letter says how to choose another.
    pub(crate) async fn create(&self, account: NewAccount, by: By) -> Result<User, AuthError> {
        let NewAccount { email, password, username, full_name, user_type } = account;
        let letter = match &password {
            None if !self.letters.are_sent() => return Err(AuthError::NoLetters),
            None => Some(LetterKind::AccountMade),
            Some(_) => self.rules.email_verification.then_some(LetterKind::VerifyEmail),
        };
        let proof = NewProof::Password(password.map_or_else(random_password, Ok)?);
        let registration = Registration { email, proof, username, full_name };
        let user = self.prepare(registration, user_type, UserStatus::Active).await?;
        let id = user.id;
        self.insert(user, &Applicant::Admin(by, letter)).await?;
        self.letters.announce();
        self.find(id).await?.ok_or(AuthError::UserNotFound)
    }

    /// Makes the first superuser.
    pub(crate) async fn make_superuser(&self, registration: Registration) -> Result<(), AuthError> {
        let user = self.prepare(registration, UserType::Admin, UserStatus::Active).await?;
        self.insert(user, &Applicant::Platform).await.map(drop)
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

    async fn prepare(
        &self,
        registration: Registration,
        user_type: UserType,
        status: UserStatus,
    ) -> Result<NewUser, AuthError> {
        let hash = self.passwords.hash(self.passwords.turn()?, &registration.proof).await?;
        let source = NewUser::handle_source(registration.username.as_ref(), &registration.email);
        Ok(NewUser {
            id: UserId::generate(),
            handle: Handle::from_name(&source, 0),
            email: registration.email,
            username: registration.username,
            full_name: registration.full_name,
            password_hash: hash,
            kdf: registration.proof.kdf(),
            user_type,
            status,
            created_at: self.clock.now(),
        })
    }

    async fn insert(&self, mut user: NewUser, applicant: &Applicant) -> Result<Registered, AuthError> {
        let source = NewUser::handle_source(user.username.as_ref(), &user.email);
        for attempt in 0..HANDLE_ATTEMPTS {
            user.handle = Handle::from_name(&source, attempt);
            match self.try_insert(user.clone(), applicant.clone()).await {
                Err(AuthError::Database(taken)) if HANDLE_KEYS.iter().any(|key| taken.violates(key)) => {}
                // Another was faster with the same address: the next time it is known.
                Err(AuthError::Database(taken))
                    if taken.violates(EMAIL_KEY) && self.is_by_letter(applicant) => {}
                Err(AuthError::Database(taken)) if taken.violates(EMAIL_KEY) => {
                    return Err(AuthError::EmailTaken);
                }
                Err(AuthError::Database(taken)) if taken.violates(USERNAME_KEY) => {
                    return Err(AuthError::UsernameTaken);
                }
                inserted => return inserted,
            }
        }
        user.handle = Handle::from_id(user.id);
        self.try_insert(user, applicant.clone()).await
    }

    /// Tells whether the address has to be shown to be theirs, so that nobody else learns whether it is known.
    fn is_by_letter(&self, applicant: &Applicant) -> bool {
        matches!(applicant, Applicant::Anybody(_)) && self.rules.email_verification
    }

    async fn try_insert(&self, user: NewUser, applicant: Applicant) -> Result<Registered, AuthError> {
        let (letters, is_by_letter) = (self.letters.clone(), self.is_by_letter(&applicant));
        self.db
            .transaction("user.insert", move |connection| {
                if !is_by_letter {
                    let made = store::users::insert(connection, &user)?;
                    slipway_audit::record(connection, account_made(&user, &applicant))?;
                    if let Applicant::Admin(_, Some(kind)) = applicant {
                        letters.order(connection, kind, user.email.as_str(), user.created_at)?;
                    }
                    return Ok(Registered::Account(Box::new(made)));
                }
                let kind = insert_unless_known(connection, &user, &applicant)?;
                letters.order(connection, kind, user.email.as_str(), user.created_at)?;
                Ok(Registered::Letter)
            })
            .await
    }
}

/// The user name is looked at first: what is said of one that is taken must not depend on whether the address is known.
fn insert_unless_known(
    connection: &mut PgConnection,
    user: &NewUser,
    applicant: &Applicant,
) -> Result<LetterKind, AuthError> {
    if let Some(username) = user.username.as_ref().map(Username::as_str)
        && store::users::username_exists(connection, username)?
    {
        return Err(AuthError::UsernameTaken);
    }
    if let Some(known) = store::users::find_by_email(connection, user.email.as_str())? {
        let event = Event::new(Action::REGISTER_KNOWN, AuditActor::Anonymous, user.created_at);
        slipway_audit::record(connection, from(event, applicant).on("user", &known.id))?;
        return Ok(LetterKind::AlreadyRegistered);
    }
    store::users::insert(connection, user)?;
    slipway_audit::record(connection, account_made(user, applicant))?;
    Ok(LetterKind::VerifyEmail)
}

fn account_made(user: &NewUser, applicant: &Applicant) -> Event {
    let event = match applicant {
        Applicant::Anybody(_) => Event::new(Action::REGISTER, AuditActor::Anonymous, user.created_at),
        Applicant::Platform => {
            let platform = AuditActor::Service { id: "auth".to_owned() };
            Event::new(Action::SUPERUSER_CREATE, platform, user.created_at)
        }
        Applicant::Admin(By { admin, .. }, _) => {
            Event::new(Action::USER_CREATE, AuditActor::User { id: *admin }, user.created_at)
        }
    };
    from(event, applicant).on("user", &user.id).with("user_type", user.user_type.as_str())
}

fn from(event: Event, applicant: &Applicant) -> Event {
    match applicant {
        Applicant::Anybody(origin) | Applicant::Admin(By { origin, .. }, _) => event.from(origin),
        Applicant::Platform => event,
    }
}
