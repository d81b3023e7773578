use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use slipway_jwt::SecretKey;
use slipway_telemetry::spawn_blocking;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Span;
use zeroize::Zeroizing;

use crate::error::AuthError;

const PURPOSE: &str = "password";
/// How long a sign-in waits for its turn before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(3);

/// Hashes passwords: bcrypt over a keyed digest, a bounded number at a time.
///
/// The digest (HMAC-SHA-256, in base64: 43 bytes without NUL) stands before bcrypt, which reads 72 bytes and stops at
/// NUL. Its key is in no database: a dump alone is no ground for guessing.
#[derive(Clone)]
pub(crate) struct Passwords {
    key: Arc<SecretKey>,
    cost: u32,
    turns: Arc<Semaphore>,
    /// The hash of no password: an unknown account costs the time of a known one.
    decoy: Arc<str>,
}

/// What comparing a password came to.
pub(crate) enum Comparison {
    Wrong,
    Right,
    /// Right, and hashed at a lower cost than is asked for now: keep this hash instead.
    Outdated(String),
}

impl Passwords {
    /// Prepares hashing at a bcrypt `cost`, `parallel` at a time. Blocking: it hashes once.
    pub(crate) fn new(key: Arc<SecretKey>, cost: u32, parallel: usize) -> Result<Self, AuthError> {
        let decoy = bcrypt::hash("", cost)?.into();
        Ok(Self { key, cost, turns: Arc::new(Semaphore::new(parallel)), decoy })
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, AuthError> {
        let (digest, cost) = (self.digest(password), self.cost);
        self.in_turn(move || Ok(bcrypt::hash(digest.as_str(), cost)?)).await
    }

    /// Compares a password with a hash; without one it takes the same time and is wrong.
    pub(crate) async fn compare(
        &self,
        password: &str,
        hash: Option<String>,
    ) -> Result<Comparison, AuthError> {
        let (digest, cost, decoy) = (self.digest(password), self.cost, Arc::clone(&self.decoy));
        self.in_turn(move || {
            let right = bcrypt::verify(digest.as_str(), hash.as_deref().unwrap_or(&decoy))?;
            match hash {
                Some(hash) if right && is_cheaper(&hash, cost) => {
                    Ok(Comparison::Outdated(bcrypt::hash(digest.as_str(), cost)?))
                }
                Some(_) if right => Ok(Comparison::Right),
                _ => Ok(Comparison::Wrong),
            }
        })
        .await
    }

    fn digest(&self, password: &str) -> Zeroizing<String> {
        Zeroizing::new(STANDARD_NO_PAD.encode(self.key.digest(PURPOSE, password.as_bytes())))
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AuthError> + Send + 'static,
    ) -> Result<T, AuthError> {
        let turn = self.turn().await?;
        spawn_blocking(Span::current(), move || {
            let _turn = turn;
            work()
        })
        .await?
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, AuthError> {
        match tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(AuthError::Overloaded),
        }
    }
}

fn is_cheaper(hash: &str, cost: u32) -> bool {
    hash.parse::<bcrypt::HashParts>().is_ok_and(|parts| parts.get_cost() < cost)
}
