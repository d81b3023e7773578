//! What belonged to accounts that were deleted goes (ADR 22).

use std::sync::Arc;
use std::time::Duration;

use slipway_audit::AuditConfig;
use slipway_clients::{AccountsClient, ClientError, SetupError};
use slipway_db::{Database, DbError};
use slipway_jwt::{IdentitySigner, KeyError, ServiceName};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Functions;
use crate::error::FunctionError;
use crate::store;

const LOOK_EVERY: Duration = Duration::from_secs(2);
const AT_A_TIME: i64 = 100;

/// Hears from auth whose accounts were deleted, and deletes their functions.
pub(crate) struct DeletedOwners {
    db: Database,
    functions: Arc<Functions>,
    auth: AccountsClient,
    signer: Arc<IdentitySigner>,
    audience: ServiceName,
}

/// Says why auth was not heard.
#[derive(Debug, thiserror::Error)]
enum NotHeard {
    #[error(transparent)]
    Auth(#[from] ClientError),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Signing(#[from] KeyError),
}

impl DeletedOwners {
    /// `audience` is auth's name, and `signer` signs for this service.
    pub(crate) fn new(
        db: Database,
        functions: Arc<Functions>,
        config: &AuditConfig,
        signer: Arc<IdentitySigner>,
        audience: ServiceName,
    ) -> Result<Self, SetupError> {
        Ok(Self { db, functions, auth: AccountsClient::new(config.url())?, signer, audience })
    }

    /// Deletes what belongs to deleted accounts until the service stops. What is known of them outlives it, and each
    /// start hears of all of them again. Their functions are looked for again and again: a request that was under way
    /// may have made one late.
    pub(crate) async fn remove_functions(self, stop: CancellationToken) {
        let mut due = tokio::time::interval(LOOK_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut position, mut is_heard) = (0, true);
        let work = async {
            loop {
                due.tick().await;
                let heard = self.hear(&mut position).await;
                if let Err(fault) = &heard
                    && is_heard
                {
                    tracing::warn!(error = %fault, "auth cannot be asked who was deleted: trying again");
                }
                is_heard = heard.is_ok();
                if let Err(fault) = self.remove().await {
                    tracing::warn!(error = %fault, "the functions of deleted accounts are still there: trying again");
                }
            }
        };
        stop.run_until_cancelled(work).await;
    }

    async fn hear(&self, position: &mut i64) -> Result<(), NotHeard> {
        loop {
            let identity = self.signer.for_service(&self.audience)?;
            let deleted = self.auth.deleted_after(&identity, *position).await?.users;
            let Some(last) = deleted.last() else { return Ok(()) };
            let last = last.position;
            self.db
                .run("deleted_owner.insert", move |connection| {
                    store::deleted_owners::insert_all(connection, deleted.iter().map(|user| user.user_id))
                })
                .await?;
            *position = last;
        }
    }

    /// One that cannot be deleted does not keep the others.
    async fn remove(&self) -> Result<(), FunctionError> {
        let (mut after, mut removed) = (None, Ok(()));
        loop {
            let functions = self
                .db
                .run("deleted_owner.list_functions", move |connection| {
                    store::deleted_owners::list_functions(connection, after, AT_A_TIME)
                })
                .await?;
            let Some((_, last)) = functions.last() else { return removed };
            after = Some(*last);
            for (owner, id) in functions {
                match self.functions.delete_of_deleted(owner, id).await {
                    Ok(()) => tracing::info!(function.id = %id, "deleted a function whose owner was deleted"),
                    // Its owner was faster.
                    Err(FunctionError::NotFound) => {}
                    Err(fault) => removed = Err(fault),
                }
            }
        }
    }
}
