//! Refreshes that come while others are carried out, or while there is enough to be signed, wait for that, and then use up
//! their tokens in one statement: under load PostgreSQL and its disk have a fraction of the work, no answer comes later for it, and
//! whoever comes alone waits for nobody. The token of a client that has gone by then stays as it is.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use slipway_db::{Database, DbError};
use slipway_kernel::SharedClock;
use tokio::sync::{mpsc, oneshot};

use crate::error::AuthError;
use crate::service::signers::Signers;
use crate::service::tokens::{Granted, KnownToken, Tokens};
use crate::store::refresh_tokens::TokenDigest;
use crate::store::rotation::{Shown, use_up};

/// How many go together at the most, and how many others may wait without holding up who brings them.
const MOST: usize = 64;

/// Uses up refresh tokens. It ends with the last clone.
#[derive(Clone)]
pub(crate) struct Together(mpsc::Sender<Asked>);

struct Asked {
    digest: TokenDigest,
    successor: KnownToken,
    answer: oneshot::Sender<Result<Used, DbError>>,
}

/// What a token gave that worked; one that did not gives the successor back, and no more is told.
type Used = Result<Granted, KnownToken>;

impl Together {
    pub(crate) fn start(db: Database, signers: Signers, clock: SharedClock) -> Self {
        let (asked, mut asking) = mpsc::channel(MOST);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while let Some(first) = asking.recv().await {
                signers.want_more().await;
                batch.push(first);
                while batch.len() < MOST
                    && let Ok(next) = asking.try_recv()
                {
                    batch.push(next);
                }
                batch.retain(|asked: &Asked| !asked.answer.is_closed());
                carry_out(&db, std::mem::take(&mut batch), clock.now()).await;
            }
        });
        Self(asked)
    }

    /// Uses a token up that works: nearly every refresh.
    pub(in crate::service) async fn use_up(
        &self,
        digest: TokenDigest,
        successor: KnownToken,
    ) -> Result<Used, AuthError> {
        let (answer, answered) = oneshot::channel();
        let is_over = || DbError::Unavailable("the service is stopping".to_owned());
        self.0.send(Asked { digest, successor, answer }).await.map_err(|_| is_over())?;
        Ok(answered.await.map_err(|_| is_over())??)
    }
}

async fn carry_out(db: &Database, batch: Vec<Asked>, now: DateTime<Utc>) {
    if batch.is_empty() {
        return;
    }
    let ids: Vec<_> = batch.iter().map(|_| Tokens::next_access(now)).collect();
    let shown = batch.iter().zip(&ids).map(|(asked, access)| Shown {
        digest: asked.digest,
        successor: asked.successor.digest,
        access: access.id,
    });
    let shown: Vec<_> = shown.collect();
    let expires_at = ids[0].expires_at;
    let used = db.run("session.refresh", move |connection| use_up(connection, &shown, now, expires_at)).await;
    let mut used = match used {
        Err(fault) if fault.is_transient() => {
            let cause = fault.to_string();
            for asked in batch {
                // Whoever has gone has gone.
                let _ = asked.answer.send(Err(DbError::Unavailable(cause.clone())));
            }
            return;
        }
        Err(fault) => {
            tracing::error!(error = %fault, batch.size = batch.len(), "refreshes go on one by one");
            HashMap::new()
        }
        Ok(used) => used,
    };
    for (Asked { successor, answer, .. }, access) in batch.into_iter().zip(ids) {
        let given = match used.remove(&access.id) {
            Some(used) => Ok(Granted::next(used, successor.token, access.id)),
            None => Err(successor),
        };
        let _ = answer.send(Ok(given));
    }
}
