//! How passwords are kept and compared (ADR 19).

mod pool;
mod schemes;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use slipway_jwt::{KeyError, SecretKey};

use crate::domain::{ClientKdf, Email, NewProof, Password, Proof};
use crate::error::AuthError;
use pool::HashingPool;
pub(crate) use pool::{HashingOutcomes, HashingSettings, Turn};
use schemes::{Digested, Schemes};

const PASSWORD: &str = "password";
const AUTH_HASH: &str = "auth-hash";
const MADE_UP_KDF: &str = "made-up-kdf";

/// Hashes passwords, and what the clients of blind accounts derive from theirs, a bounded number at a time.
///
/// What is hashed is a keyed digest (HMAC-SHA-256). Its key is in no database: a dump alone is no ground for guessing.
#[derive(Clone)]
pub(crate) struct Passwords {
    key: Arc<SecretKey>,
    schemes: Arc<Schemes>,
    pool: HashingPool,
}

/// Makes up a password that nobody can guess.
pub(super) fn random_password() -> Result<Password, AuthError> {
    let mut random = [0; 18];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| KeyError::Cryptography)?;
    Ok(Password::unchecked(URL_SAFE_NO_PAD.encode(random)))
}

/// What comparing a password came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Wrong,
    Right,
    /// Right, and hashed at a lower cost than is asked for now: keep this hash instead.
    Outdated(String),
}

impl Passwords {
    /// Prepares hashing, with bcrypt at a `cost`. Blocking: it hashes once in each way.
    pub(crate) fn new(
        key: Arc<SecretKey>,
        cost: u32,
        settings: HashingSettings,
        outcomes: HashingOutcomes,
    ) -> Result<Self, AuthError> {
        let pool = HashingPool::start(settings, outcomes)?;
        Ok(Self { key, schemes: Arc::new(Schemes::new(cost)?), pool })
    }

    /// Takes a place in the queue, or refuses at once where it is full: ask for it before anything else is done.
    pub(crate) fn turn(&self) -> Result<Turn, AuthError> {
        self.pool.turn()
    }

    /// Hashes what shall prove from now on whose account it is.
    pub(crate) async fn hash(&self, turn: Turn, proof: &NewProof) -> Result<String, AuthError> {
        let digested = match proof {
            NewProof::Password(password) => self.password(password.expose()),
            NewProof::Blind(hash, _) => self.auth_hash(hash.expose()),
        };
        let schemes = Arc::clone(&self.schemes);
        turn.run(move || schemes.hash(&digested)).await?
    }

    /// Compares a proof with a hash. Without one, and with one of the other kind, it takes as long and is wrong.
    pub(crate) async fn compare(
        &self,
        turn: Turn,
        proof: &Proof,
        hash: Option<String>,
    ) -> Result<Comparison, AuthError> {
        let digested = match proof {
            Proof::Password(password) => self.password(password.expose()),
            Proof::AuthHash(hash) => self.auth_hash(hash.expose()),
        };
        let schemes = Arc::clone(&self.schemes);
        turn.run(move || schemes.compare(&digested, hash.as_deref())).await?
    }

    /// Makes up how the client of an unknown account derives: the same for an address each time.
    pub(crate) fn made_up_kdf(&self, email: &Email) -> ClientKdf {
        ClientKdf::made_up(self.key.digest(MADE_UP_KDF, email.as_str().as_bytes()))
    }

    fn password(&self, password: &str) -> Digested {
        Digested::password(self.key.digest(PASSWORD, password.as_bytes()))
    }

    fn auth_hash(&self, hash: &[u8]) -> Digested {
        Digested::auth_hash(self.key.digest(AUTH_HASH, hash))
    }
}
