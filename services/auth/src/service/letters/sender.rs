use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use slipway_db::{Database, DbError, PgConnection};
use slipway_kernel::SharedClock;
use slipway_mail::{MailConfig, MailError, Mailer};
use slipway_sealing::{OpenError, SealingKeys};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::context;
use super::templates::template;
use crate::domain::{LetterKind, LetterOrder, LinkPurpose, LinkToken, PublicUrl};
use crate::error::AuthError;
use crate::service::LinkTokens;
use crate::store;
use crate::store::letters::WaitingLetter;

/// How often is looked for letters whose turn came without a word: after a pause, a restart, or from another replica.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between an order and its letter: what that costs, which differs by whom it is for, must not be felt in the answer to
/// whoever ordered it.
const APART: Duration = Duration::from_millis(100);
const AT_ONCE: i64 = 10;
/// How long a letter is left to whoever claimed it: twice as long as the mailer takes at most for all that are claimed.
const CLAIM: TimeDelta = TimeDelta::minutes(10);
/// The pause after the first attempt; each further one is twice the one before, up to the longest.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(10);
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);
/// After this a letter is given up: nobody waits for it any more.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::hours(24);

/// How letters are sent, and what links begin with.
#[derive(Debug, Clone)]
pub(crate) struct LetterSettings {
    pub(crate) delivery: Delivery,
    pub(crate) public_url: PublicUrl,
}

/// How letters are sent.
#[derive(Debug, Clone)]
pub(crate) enum Delivery {
    Smtp(MailConfig),
    /// Not at all: their links go to the log, for development.
    Log,
}

/// Sends the letters that were ordered.
#[derive(Clone)]
pub(crate) struct LetterSender {
    db: Database,
    seal: Arc<SealingKeys>,
    tokens: LinkTokens,
    /// Without one, links go to the log.
    mailer: Option<Mailer>,
    public_url: PublicUrl,
    clock: SharedClock,
}

/// Why a letter was not sent.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error("it does not open: {0}")]
    Sealed(#[from] OpenError),
    #[error(transparent)]
    Other(#[from] AuthError),
}

impl Unsent {
    fn is_transient(&self) -> bool {
        match self {
            Self::Mail(fault) => fault.is_transient(),
            Self::Sealed(_) => false,
            Self::Other(_) => true,
        }
    }
}

impl LetterSender {
    /// # Errors
    /// Says that the way to the SMTP server cannot be prepared.
    pub(crate) fn new(
        settings: LetterSettings,
        db: Database,
        seal: Arc<SealingKeys>,
        tokens: LinkTokens,
        clock: SharedClock,
    ) -> Result<Self, MailError> {
        let mailer = match settings.delivery {
            Delivery::Smtp(config) => Some(Mailer::new(&config)?),
            Delivery::Log => None,
        };
        Ok(Self { db, seal, tokens, mailer, public_url: settings.public_url, clock })
    }

    /// Sends until the service stops: soon after it is woken, and whatever else is due. A letter that is under way at the
    /// stop is tried again later.
    pub(crate) async fn send_all(self, wake: Arc<Notify>, stop: CancellationToken) {
        let work = async {
            let mut due = tokio::time::interval(LOOK_EVERY);
            due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = wake.notified() => tokio::time::sleep(APART).await,
                    _ = due.tick() => {}
                }
                if let Err(fault) = self.send_due().await {
                    tracing::warn!(error = %fault, "letters were not sent: trying again");
                }
            }
        };
        stop.run_until_cancelled(work).await;
    }

    async fn send_due(&self) -> Result<(), AuthError> {
        loop {
            let now = self.clock.now();
            let due = self
                .db
                .transaction("letter.lock_due", move |connection| {
                    store::letters::lock_due(connection, now, now + CLAIM, AT_ONCE).map_err(AuthError::from)
                })
                .await?;
            if due.is_empty() {
                return Ok(());
            }
            for letter in due {
                let sent = self.send(&letter).await;
                self.settle(&letter, sent).await?;
            }
        }
    }

    async fn send(&self, letter: &WaitingLetter) -> Result<(), Unsent> {
        let plain = self.seal.open(&context(letter.id), &letter.sealed)?;
        let LetterOrder { kind, email } = serde_json::from_slice(&plain).map_err(|_| OpenError::Malformed)?;
        let link = match kind.link() {
            Some(purpose) => self.link(purpose, email.clone()).await?,
            None => Some(self.public_url.forgot_page()),
        };
        match (link, &self.mailer) {
            (Some(link), Some(mailer)) => {
                let values = [("platform", self.public_url.as_str()), ("link", link.as_str())];
                Ok(mailer.send(&email, &template(kind).fill(&values)).await?)
            }
            (Some(link), None) => {
                log(kind, &link);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// Makes the link of a letter; `None` where there is nobody to write to, or nothing to verify any more.
    async fn link(&self, purpose: LinkPurpose, email: String) -> Result<Option<String>, AuthError> {
        let (token, digest) = self.tokens.next()?;
        let expires_at = self.clock.now() + purpose.lifetime();
        let is_made = self
            .db
            .transaction("link_token.insert", move |connection| {
                let Some(user) = store::users::find_by_email(connection, &email)? else { return Ok(false) };
                if purpose == LinkPurpose::VerifyEmail && user.email_verified {
                    return Ok(false);
                }
                store::link_tokens::insert(connection, user.id, purpose, &digest, expires_at)?;
                Ok::<_, AuthError>(true)
            })
            .await?;
        Ok(is_made.then(|| self.written(purpose, &token)))
    }

    fn written(&self, purpose: LinkPurpose, token: &LinkToken) -> String {
        self.public_url.link(purpose, token)
    }

    /// Forgets a letter that was sent or will never be, and has others tried again.
    async fn settle(&self, letter: &WaitingLetter, sent: Result<(), Unsent>) -> Result<(), AuthError> {
        let (id, now) = (letter.id, self.clock.now());
        let next = match sent {
            Ok(()) => None,
            Err(fault) => {
                let next = now + pause(letter.attempts);
                let is_over = !fault.is_transient() || next > letter.created_at + GIVEN_UP_AFTER;
                if is_over {
                    tracing::error!(error = %fault, letter.id = %id, "a letter is given up");
                } else {
                    tracing::warn!(error = %fault, letter.id = %id, "a letter was not sent: trying again later");
                }
                (!is_over).then_some(next)
            }
        };
        self.db
            .run("letter.settle", move |connection| settle(connection, id, next).map_err(AuthError::from))
            .await
    }
}

fn settle(
    connection: &mut PgConnection,
    id: slipway_kernel::LetterId,
    next: Option<DateTime<Utc>>,
) -> Result<(), DbError> {
    match next {
        Some(next) => store::letters::update_next_attempt(connection, id, next),
        None => store::letters::delete(connection, id),
    }
}

fn pause(attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(16);
    (FIRST_PAUSE * 2_i32.pow(doublings)).min(LONGEST_PAUSE)
}

/// Only where `DEV_MODE` is on and there is no mail: else no link may be in a log.
fn log(kind: LetterKind, link: &str) {
    tracing::info!(letter.kind = ?kind, letter.link = link, "there is no mail: a letter's link, for development");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let seconds: Vec<i64> = [1, 2, 3, 9, 10, 1_000].map(|attempts| pause(attempts).num_seconds()).into();
        assert_eq!(seconds, [10, 20, 40, 2_560, 3_600, 3_600]);
    }
}
