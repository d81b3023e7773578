use std::sync::Arc;
use std::time::Duration;

use diesel::PgConnection;
use slipway_sealing::{SealError, SealingKeys};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Database, DbError};

const RETRY: Duration = Duration::from_secs(5);
const AT_A_TIME: i64 = 100;

/// A row that holds something sealed.
pub trait SealedRow: Sized + Send + 'static {
    /// What it is called in the log.
    const KIND: &'static str;

    /// Returns the id that rows are gone through by.
    fn id(&self) -> Uuid;

    /// Returns what it was sealed for.
    fn context(&self) -> impl AsRef<[Vec<u8>]>;

    /// Returns what is sealed.
    fn sealed(&self) -> &[u8];

    /// Lists some of everyone's, by id.
    fn list(connection: &mut PgConnection, after: Option<Uuid>, limit: i64) -> Result<Vec<Self>, DbError>;

    /// Puts another sealing of the same in its place.
    fn update(&self, connection: &mut PgConnection, sealed: &[u8]) -> Result<(), DbError>;
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Seals all rows of a kind anew that the current key did not seal, so that the file of the key that did may go. Runs
/// to its end once, or until the service stops. What does not open is logged and stays.
pub async fn seal_anew<T: SealedRow>(db: Database, keys: Arc<SealingKeys>, stop: CancellationToken) {
    let work = async {
        while let Err(fault) = seal_all_anew::<T>(&db, &keys).await {
            tracing::warn!(error = %fault, "{}s of an older key were not sealed anew: trying again", T::KIND);
            tokio::time::sleep(RETRY).await;
        }
    };
    stop.run_until_cancelled(work).await;
}

async fn seal_all_anew<T: SealedRow>(db: &Database, keys: &SealingKeys) -> Result<(), Fault> {
    let mut after = None;
    loop {
        let rows = db
            .run("sealed.list", move |connection| T::list(connection, after, AT_A_TIME).map_err(Fault::from))
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.id());
        for row in rows.into_iter().filter(|row| !keys.is_current(row.sealed())) {
            let Some(sealed) = another_sealing(&row, keys)? else { continue };
            db.run("sealed.update", move |connection| row.update(connection, &sealed).map_err(Fault::from))
                .await?;
        }
    }
}

fn another_sealing<T: SealedRow>(row: &T, keys: &SealingKeys) -> Result<Option<Vec<u8>>, SealError> {
    let context = row.context();
    match keys.open(context.as_ref(), row.sealed()) {
        Ok(plain) => keys.seal(context.as_ref(), &plain).map(Some),
        Err(fault) => {
            tracing::error!(error = %fault, row.id = %row.id(), "a {} does not open", T::KIND);
            Ok(None)
        }
    }
}
