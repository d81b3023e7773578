//! What a sealing key before the current one sealed is sealed anew, so that the file of that key may go.

use std::sync::Arc;
use std::time::Duration;

use slipway_db::{Database, DbError, PgConnection};
use slipway_kernel::FunctionId;
use slipway_sealing::SealingKeys;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::{Secret, SigningKey};
use crate::error::FunctionError;
use crate::store;

const RETRY: Duration = Duration::from_secs(5);
const AT_A_TIME: i64 = 100;

/// A row that holds something sealed.
pub(super) trait Sealing: Sized + Send + 'static {
    /// What it is called in the log.
    const KIND: &'static str;

    fn id(&self) -> Uuid;
    fn function_id(&self) -> FunctionId;
    fn context(&self) -> [Vec<u8>; 4];
    fn sealed(&self) -> &[u8];

    /// Lists some of all owners', by id.
    fn list(connection: &mut PgConnection, after: Option<Uuid>, limit: i64) -> Result<Vec<Self>, DbError>;

    /// Puts another sealing of the same in its place.
    fn update(&self, connection: &mut PgConnection, sealed: &[u8]) -> Result<(), DbError>;
}

/// Seals all rows of a kind anew that the current key did not seal. Runs to its end once, or until the service stops.
pub(super) async fn seal_anew<T: Sealing>(db: Database, keys: Arc<SealingKeys>, stop: CancellationToken) {
    let work = async {
        while let Err(fault) = seal_all_anew::<T>(&db, &keys).await {
            tracing::warn!(error = %fault, "{}s of an older key were not sealed anew: trying again", T::KIND);
            tokio::time::sleep(RETRY).await;
        }
    };
    stop.run_until_cancelled(work).await;
}

async fn seal_all_anew<T: Sealing>(db: &Database, keys: &SealingKeys) -> Result<(), FunctionError> {
    let mut after = None;
    loop {
        let rows = db
            .run("sealed.list_of_all_owners", move |connection| T::list(connection, after, AT_A_TIME))
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.id());
        for row in rows {
            if keys.is_current(row.sealed()) {
                continue;
            }
            let plain = match keys.open(&row.context(), row.sealed()) {
                Ok(plain) => plain,
                Err(fault) => {
                    tracing::error!(error = %fault, function.id = %row.function_id(), "a {} does not open", T::KIND);
                    continue;
                }
            };
            let sealed = keys.seal(&row.context(), &plain)?;
            db.run("sealed.update", move |connection| row.update(connection, &sealed)).await?;
        }
    }
}

impl Sealing for Secret {
    const KIND: &'static str = "secret";

    fn id(&self) -> Uuid {
        self.id.as_uuid()
    }

    fn function_id(&self) -> FunctionId {
        self.function_id
    }

    fn context(&self) -> [Vec<u8>; 4] {
        self.context()
    }

    fn sealed(&self) -> &[u8] {
        &self.sealed.0
    }

    fn list(connection: &mut PgConnection, after: Option<Uuid>, limit: i64) -> Result<Vec<Self>, DbError> {
        store::secrets::list_of_all_owners(connection, after.map(Into::into), limit)
    }

    fn update(&self, connection: &mut PgConnection, sealed: &[u8]) -> Result<(), DbError> {
        store::secrets::update_sealed(connection, self, sealed)
    }
}

impl Sealing for SigningKey {
    const KIND: &'static str = "signing key";

    fn id(&self) -> Uuid {
        self.id.as_uuid()
    }

    fn function_id(&self) -> FunctionId {
        self.function_id
    }

    fn context(&self) -> [Vec<u8>; 4] {
        self.context()
    }

    fn sealed(&self) -> &[u8] {
        &self.sealed.0
    }

    fn list(connection: &mut PgConnection, after: Option<Uuid>, limit: i64) -> Result<Vec<Self>, DbError> {
        store::signing_keys::list_of_all_owners(connection, after, limit)
    }

    fn update(&self, connection: &mut PgConnection, sealed: &[u8]) -> Result<(), DbError> {
        store::signing_keys::update_sealed(connection, self, sealed)
    }
}
