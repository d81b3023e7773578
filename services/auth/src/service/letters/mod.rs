//! Letters: ordered in the transaction of what they are about, and sent later (ADR 20).

mod sender;
mod templates;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use slipway_db::PgConnection;
use slipway_kernel::LetterId;
use slipway_sealing::{SealError, SealingKeys};
use tokio::sync::Notify;

use crate::domain::{LetterKind, LetterOrder};
use crate::error::AuthError;
use crate::store;

pub(crate) use sender::{Delivery, LetterSender, LetterSettings};

const SEALED_FOR: &[u8] = b"letter";

/// Takes orders for letters, where letters can be sent.
#[derive(Clone)]
pub(crate) struct Letters(Option<Orders>);

#[derive(Clone)]
struct Orders {
    seal: Arc<SealingKeys>,
    /// Has the sender look soon.
    wake: Arc<Notify>,
}

impl Letters {
    /// Takes no orders: there is nobody to send letters.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn new(seal: Arc<SealingKeys>, wake: Arc<Notify>) -> Self {
        Self(Some(Orders { seal, wake }))
    }

    /// Tells whether letters are sent.
    pub(super) fn are_sent(&self) -> bool {
        self.0.is_some()
    }

    /// Orders a letter, in the caller's transaction. What it says and to whom is sealed.
    pub(super) fn order(
        &self,
        connection: &mut PgConnection,
        kind: LetterKind,
        email: &str,
        now: DateTime<Utc>,
    ) -> Result<(), AuthError> {
        let Some(orders) = &self.0 else { return Ok(()) };
        let (id, order) = (LetterId::generate(), LetterOrder { kind, email: email.to_owned() });
        let plain = serde_json::to_vec(&order).map_err(|_| SealError::Cryptography)?;
        let sealed = orders.seal.seal(&context(id), &plain)?;
        Ok(store::letters::insert(connection, id, &sealed, now)?)
    }

    /// Has letters that were ordered and committed sent soon.
    pub(super) fn announce(&self) {
        if let Some(orders) = &self.0 {
            orders.wake.notify_one();
        }
    }
}

fn context(letter: LetterId) -> [Vec<u8>; 2] {
    [SEALED_FOR.to_vec(), letter.as_uuid().as_bytes().to_vec()]
}
